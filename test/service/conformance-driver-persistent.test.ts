// The persistent driver: what is acknowledged survives a restart, in order and with its keys. The
// servers share one database in memory; the last case does the same with a real database.
import { Code } from "@connectrpc/connect";
import { afterEach, expect, it } from "vitest";
import {
  AbandonReason,
  InputDurability,
  InputState,
  RuntimeState,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { makeEmbeddedFixture } from "../storage/embedded-fixture.ts";
import { type CaseClients, clientsOf } from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import {
  claimOf,
  completionOf,
  holdRun,
  identityOf,
  readRuntime,
  takeRun,
  wholeBoundary,
} from "./support/runs.ts";
import { startObservedServer } from "./support/running-server.ts";
import { openSharedDatabase, type SharedDatabase } from "./support/shared-database.ts";
import { refusalOf } from "./support/verdict.ts";

const opened: SharedDatabase[] = [];
const runtimeId = "agent";
const byId = (value: string) => ({ case: "inputId" as const, value });

function openDatabase(): SharedDatabase {
  const database = openSharedDatabase();
  opened.push(database);
  return database;
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.close()));
});

function keyed(name: string) {
  return prompt(`text of ${name}`, { inputId: name, idempotencyKey: `key of ${name}` });
}

async function ingestAll({ runtimes }: CaseClients, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const { outcome } = await runtimes.ingest({ runtimeId, ensure: true, input: keyed(name) });
    expect(outcome.case).toBe("accepted");
  }
}

async function inputsOf({ runtimes }: CaseClients, active?: boolean) {
  const filter = active === undefined ? {} : { filter: { active } };
  const { inputs } = await runtimes.listInputs({ runtimeId, ...filter });
  return inputs.map(({ inputId, state }) => [inputId, state] as const);
}

it("durable_before_ack", async () => {
  const database = openDatabase();
  const { runtimes, admin } = await database.serve();
  await runtimes.ensureRuntime({ runtimeId });
  const arrived = database.hold();
  let isAnswered = false;
  const answer = runtimes.ingest({ runtimeId, input: keyed("a") }).finally(() => {
    isAnswered = true;
  });
  await arrived;
  await admin.getServerInfo({});
  expect(isAnswered).toBe(false);
  database.release();
  expect(await answer).toMatchObject({ durable: true, revision: 2n });
});

it("dedup_not_persisted: a duplicate leaves no row and no commit", async () => {
  const database = openDatabase();
  const clients = await database.serve();
  await ingestAll(clients, "a");
  const { revision } = await readRuntime(clients, runtimeId);
  const again = { ...keyed("a"), inputId: "b" };
  const { outcome } = await clients.runtimes.ingest({ runtimeId, input: again });
  expect(outcome).toMatchObject({
    case: "deduplicated",
    value: { inputId: "b", existingId: "a", sameContent: true },
  });
  const restarted = await database.restart();
  expect(await inputsOf(restarted)).toEqual([["a", InputState.QUEUED]]);
  expect((await readRuntime(restarted, runtimeId)).revision).toBe(revision);
});

it("recover_from_store: everything is where it was, in order", async () => {
  const database = openDatabase();
  const clients = await database.serve();
  await ingestAll(clients, "a", "b", "c");
  const before = await clients.runtimes.listInputs({ runtimeId, includePayload: true });
  const restarted = await database.restart();
  const after = await restarted.runtimes.listInputs({ runtimeId, includePayload: true });
  expect(after.inputs).toEqual(before.inputs);
  expect(after.inputs.map(({ inputId }) => inputId)).toEqual(["a", "b", "c"]);
  const run = await takeRun(restarted, identityOf("executor"), runtimeId);
  expect(run.primitive?.contributingInputIds).toEqual(["a"]);
});

it("recover_rebuilds_dedup_index", async () => {
  const database = openDatabase();
  await ingestAll(await database.serve(), "a");
  const { runtimes } = await database.restart();
  const again = prompt("another text", { idempotencyKey: "key of a" });
  const { outcome } = await runtimes.ingest({ runtimeId, input: again });
  expect(outcome).toMatchObject({
    case: "deduplicated",
    value: { existingId: "a", sameContent: false },
  });
});

it("recover_filters_ephemeral_inputs: what was not committed is gone (decision 15)", async () => {
  const database = openDatabase();
  const first = await database.serve();
  await ingestAll(first, "a");
  first.cutOff();
  const ephemeral = prompt("x", { inputId: "b", durability: InputDurability.EPHEMERAL });
  const answer = await first.runtimes.ingest({ runtimeId, input: ephemeral });
  expect(answer).toMatchObject({ outcome: { case: "accepted" }, durable: false, revision: 0n });
  const second = await database.serve();
  expect(await inputsOf(second)).toEqual([["a", InputState.QUEUED]]);
});

it("boundary_applied_persists_atomically", async () => {
  const database = openDatabase();
  const clients = await database.serve();
  const { runtimes, executors } = clients;
  await ingestAll(clients, "a");
  const run = await holdRun(clients, identityOf("executor"), runtimeId);
  const { runId } = run;
  const arrived = database.hold();
  const committing = executors.commitBoundary({ ...claimOf(run), ...wholeBoundary(run) });
  await arrived;
  const place = { runtimeId, runId, sequence: 0n };
  expect((await runtimes.loadBoundaryReceipt(place)).receipt).toBeUndefined();
  expect(await inputsOf(clients)).toEqual([["a", InputState.STAGED]]);
  database.release();
  const { receipt, revision } = await committing;
  expect(receipt).toMatchObject({ sequence: 0n, revision, contributingInputIds: ["a"] });
  const restarted = await database.restart();
  expect((await restarted.runtimes.loadBoundaryReceipt(place)).receipt).toEqual(receipt);
  const { input } = await restarted.runtimes.getInput({ runtimeId, target: byId("a") });
  expect(input).toMatchObject({
    state: InputState.APPLIED_PENDING_CONSUMPTION,
    lastRunId: runId,
    lastBoundarySequence: 0n,
  });
  expect(input?.history.at(-1)?.revision).toBe(revision);
});

it("durable_accept_failure_restores_canonical_ingress_state", async () => {
  const database = openDatabase();
  const clients = await database.serve({ KEELSON_ANSWER_TIMEOUT_MS: "500" });
  const { runtimes } = clients;
  await runtimes.ensureRuntime({ runtimeId });
  const arrived = database.hold();
  const failed = refusalOf(runtimes.ingest({ runtimeId, input: keyed("a") }));
  await arrived;
  expect(await failed).toMatchObject({
    code: Code.Unavailable,
    reason: "DATABASE_UNAVAILABLE",
    retryDelayMs: 1_000,
  });
  expect(await inputsOf(clients)).toEqual([]);
  database.release();
  // The commit that was not answered may have landed by now; the key makes both one.
  const { outcome } = await runtimes.ingest({ runtimeId, input: keyed("a") });
  expect(["accepted", "deduplicated"]).toContain(outcome.case);
  expect(await inputsOf(clients)).toEqual([["a", InputState.QUEUED]]);
  expect((await readRuntime(clients, runtimeId)).inputCounts).toMatchObject({ accepted: 1n });
});

it("retire_preserves_inputs_for_drain", async () => {
  const database = openDatabase();
  const clients = await database.serve();
  await ingestAll(clients, "a", "b");
  const { report } = await clients.runtimes.retire({ runtimeId });
  expect(report).toMatchObject({ inputsAbandoned: 0, inputsPendingDrain: 2 });
  const restarted = await database.restart();
  expect((await readRuntime(restarted, runtimeId)).state).toBe(RuntimeState.RETIRED);
  const executor = identityOf("executor");
  for (const name of ["a", "b"]) {
    const run = await takeRun(restarted, executor, runtimeId);
    expect(run.primitive?.contributingInputIds).toEqual([name]);
    await restarted.executors.completeRun(completionOf(run));
  }
  expect(await inputsOf(restarted, true)).toEqual([]);
  expect((await readRuntime(restarted, runtimeId)).state).toBe(RuntimeState.RETIRED);
});

it("reset_persists_abandoned_inputs", async () => {
  const database = openDatabase();
  const clients = await database.serve();
  await ingestAll(clients, "a", "b");
  const { report, runtime } = await clients.runtimes.reset({ runtimeId });
  expect(report?.inputsAbandoned).toBe(2);
  const restarted = await database.restart();
  const { runtimes } = restarted;
  expect(await inputsOf(restarted)).toEqual([
    ["a", InputState.ABANDONED],
    ["b", InputState.ABANDONED],
  ]);
  const { input } = await runtimes.getInput({ runtimeId, target: byId("a") });
  expect(input?.terminalOutcome?.outcome).toMatchObject({
    case: "abandoned",
    value: { reason: AbandonReason.RESET },
  });
  expect((await readRuntime(restarted, runtimeId)).epochId).toBe(runtime?.epochId);
  const { outcome } = await runtimes.ingest({ runtimeId, input: keyed("a") });
  expect(outcome.case).toBe("deduplicated");
});

it("recover_consumes_committed_applied_pending_inputs", async () => {
  const database = openDatabase();
  const clients = await database.serve();
  await ingestAll(clients, "a", "b");
  const run = await holdRun(clients, identityOf("executor"), runtimeId);
  await clients.executors.commitBoundary({ ...claimOf(run), ...wholeBoundary(run) });
  const restarted = await database.restart();
  const { report, runtime } = await restarted.runtimes.recover({ runtimeId, fenceExecutor: true });
  expect(report).toMatchObject({ inputsRecovered: 1, inputsAbandoned: 0, inputsRequeued: 0 });
  expect(runtime?.state).toBe(RuntimeState.IDLE);
  expect(await inputsOf(restarted)).toEqual([
    ["a", InputState.CONSUMED],
    ["b", InputState.QUEUED],
  ]);
  const next = await takeRun(restarted, identityOf("executor"), runtimeId);
  expect(next.primitive?.contributingInputIds).toEqual(["b"]);
});

it("recover_from_store, on a real database", async () => {
  const fixture = await makeEmbeddedFixture();
  try {
    const environment = { KEELSON_MONGODB_URI: (await fixture.start()).uri };
    const first = await startObservedServer({ environment, flags: {}, logLevel: "fatal" });
    await first.serving;
    const before = clientsOf(first.url);
    await ingestAll(before, "a", "b");
    const run = await holdRun(before, identityOf("executor"), runtimeId);
    const boundary = { ...claimOf(run), ...wholeBoundary(run) };
    const { receipt } = await before.executors.commitBoundary(boundary);
    await first.stop();
    const second = await startObservedServer({ environment, flags: {}, logLevel: "fatal" });
    await second.serving;
    const after = clientsOf(second.url, "grpc", before.namespace);
    const { receipts } = await after.runtimes.listBoundaryReceipts({ runtimeId });
    expect(receipts).toEqual([receipt]);
    const { executors } = after;
    expect((await executors.commitBoundary(boundary)).receipt).toEqual(receipt);
    await executors.completeRun({ ...claimOf(run), outcome: { case: "none", value: {} } });
    expect(await inputsOf(after)).toEqual([
      ["a", InputState.CONSUMED],
      ["b", InputState.QUEUED],
    ]);
    const again = await after.runtimes.ingest({ runtimeId, input: keyed("a") });
    expect(again.outcome.case).toBe("deduplicated");
    expect(await after.runtimes.verifyRuntime({ runtimeId })).toMatchObject({ valid: true });
    await second.stop();
  } finally {
    await fixture.remove();
  }
});
