// Recovery and replay: what has a receipt is consumed and never run again, what has none is queued
// again and run once, whatever was restarted in between.
import { create } from "@bufbuild/protobuf";
import { afterEach, describe, expect, it } from "vitest";
import {
  type Input,
  InputSchema,
  InputState,
  RunApplyBoundary,
  RuntimeState,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import type { CaseClients } from "./support/deployment.ts";
import {
  claimOf,
  completionOf,
  holdRun,
  identityOf,
  readRuntime,
  takeRun,
  wholeBoundary,
} from "./support/runs.ts";
import { openSharedDatabase, type SharedDatabase } from "./support/shared-database.ts";

const opened: SharedDatabase[] = [];
const runtimeId = "agent";
const DIGEST = "5e".repeat(32);

function openDatabase(): SharedDatabase {
  const database = openSharedDatabase();
  opened.push(database);
  return database;
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.close()));
});

/** An input that shares its run with others like it. */
function event(inputId: string): Input {
  const kind = { case: "externalEvent", value: { eventType: "news" } } as const;
  return create(InputSchema, { inputId, kind });
}

async function ingestBoth({ runtimes }: CaseClients): Promise<void> {
  const items = ["a", "b"].map((name) => ({ runtimeId, ensure: true, input: event(name) }));
  await runtimes.ingestBatch({ items });
}

async function statusesOf({ runtimes }: CaseClients) {
  const { inputs } = await runtimes.listInputs({ runtimeId });
  return inputs;
}

async function statesOf(clients: CaseClients) {
  return (await statusesOf(clients)).map(({ inputId, state }) => [inputId, state] as const);
}

describe("recovery_contract", () => {
  it("store_contract_commits_authoritative_receipts", async () => {
    const database = openDatabase();
    const clients = await database.serve();
    const { runtimes, executors } = clients;
    await ingestBoth(clients);
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    const { runId } = run;
    const contributingInputIds = ["a", "b"];
    const first = await executors.commitBoundary({
      ...claimOf(run),
      boundary: RunApplyBoundary.RUN_START,
      contributingInputIds,
      conversationDigest: DIGEST,
      messageCount: 0n,
    });
    const second = await executors.commitBoundary({
      ...claimOf(run),
      boundary: RunApplyBoundary.RUN_CHECKPOINT,
      messageCount: 7n,
    });
    expect(first.receipt).toMatchObject({
      runtimeId,
      runId,
      sequence: 0n,
      boundary: RunApplyBoundary.RUN_START,
      contributingInputIds,
      conversationDigest: DIGEST,
      messageCount: 0n,
      revision: first.revision,
    });
    expect(second.receipt).toMatchObject({
      runId,
      sequence: 1n,
      boundary: RunApplyBoundary.RUN_CHECKPOINT,
      contributingInputIds: [],
      conversationDigest: "",
      messageCount: 7n,
      revision: second.revision,
    });
    for (const { receipt } of [first, second]) {
      const sequence = receipt?.sequence ?? 0n;
      const loaded = await runtimes.loadBoundaryReceipt({ runtimeId, runId, sequence });
      expect(loaded.receipt).toEqual(receipt);
    }
    for (const status of await statusesOf(clients)) {
      expect(status).toMatchObject({ lastRunId: runId, lastBoundarySequence: 0n });
    }
  });

  it("persistent_replays_missing_receipts_and_persists_retire", async () => {
    const database = openDatabase();
    const clients = await database.serve();
    const { runtimes, executors } = clients;
    await ingestBoth(clients);
    const fenced = identityOf("fenced");
    await holdRun(clients, fenced, runtimeId);
    const { report } = await runtimes.recover({ runtimeId, fenceExecutor: true });
    expect(report).toMatchObject({ inputsRecovered: 2, inputsAbandoned: 0, inputsRequeued: 2 });
    await executors.detach(fenced);
    const queued = [
      ["a", InputState.QUEUED],
      ["b", InputState.QUEUED],
    ];
    expect(await statesOf(clients)).toEqual(queued);
    const retired = await runtimes.retire({ runtimeId });
    expect(retired.report).toMatchObject({ inputsAbandoned: 0, inputsPendingDrain: 2 });
    const restarted = await database.restart();
    expect(await statesOf(restarted)).toEqual(queued);
    expect(await readRuntime(restarted, runtimeId)).toMatchObject({
      state: RuntimeState.RETIRED,
      queueDepth: 2,
    });
    const run = await takeRun(restarted, identityOf("executor"), runtimeId);
    expect(run.primitive?.contributingInputIds).toEqual(["a", "b"]);
    await restarted.executors.completeRun(completionOf(run));
    expect(await readRuntime(restarted, runtimeId)).toMatchObject({
      state: RuntimeState.RETIRED,
      queueDepth: 0,
      inputCounts: { accepted: 2n, consumed: 2n },
    });
  });

  it("persistent_consumes_committed", async () => {
    const database = openDatabase();
    const clients = await database.serve();
    await ingestBoth(clients);
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    await clients.executors.commitBoundary({ ...claimOf(run), ...wholeBoundary(run) });
    await clients.executors.commitBoundary({
      ...claimOf(run),
      boundary: RunApplyBoundary.RUN_CHECKPOINT,
    });
    const restarted = await database.restart();
    const { runtime } = await restarted.runtimes.recover({ runtimeId, fenceExecutor: true });
    expect(runtime).toMatchObject({
      state: RuntimeState.IDLE,
      runnable: false,
      inputCounts: { consumed: 2n, queued: 0n },
    });
    const { receipts } = await restarted.runtimes.listBoundaryReceipts({ runtimeId });
    expect(receipts.map(({ sequence }) => sequence)).toEqual([0n, 1n]);
    expect(receipts.map(({ contributingInputIds }) => contributingInputIds)).toEqual([
      ["a", "b"],
      [],
    ]);
  });
});

describe("recovery_replay", () => {
  it("replay keeps last_run_id and sequence", async () => {
    const database = openDatabase();
    const clients = await database.serve();
    await ingestBoth(clients);
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    await clients.executors.commitBoundary({ ...claimOf(run), ...wholeBoundary(run) });
    const applied = await statusesOf(clients);
    expect(applied).toMatchObject([
      { lastRunId: run.runId, lastBoundarySequence: 0n, attemptCount: 1 },
      { lastRunId: run.runId, lastBoundarySequence: 0n, attemptCount: 1 },
    ]);
    expect(await statusesOf(await database.restart())).toEqual(applied);
  });

  it("replay keeps the run and the attempt of what was rolled back", async () => {
    const database = openDatabase();
    const clients = await database.serve();
    await ingestBoth(clients);
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    await clients.executors.failRun({ ...claimOf(run), error: "no luck", recoverable: true });
    const rolledBack = await statusesOf(clients);
    expect(rolledBack).toMatchObject([
      { state: InputState.QUEUED, lastRunId: run.runId, attemptCount: 1 },
      { state: InputState.QUEUED, lastRunId: run.runId, attemptCount: 1 },
    ]);
    expect(rolledBack.map(({ lastBoundarySequence }) => lastBoundarySequence)).toEqual([
      undefined,
      undefined,
    ]);
    expect(await statusesOf(await database.restart())).toEqual(rolledBack);
  });

  it("a run goes on at the next server as if nothing had happened (decision 15)", async () => {
    const database = openDatabase();
    const clients = await database.serve();
    await ingestBoth(clients);
    const executor = identityOf("executor");
    const run = await holdRun(clients, executor, runtimeId);
    const { executors, runtimes } = await database.restart();
    const held = { ...executor, runtimeIds: [runtimeId], heldRunIds: [run.runId], timeout: {} };
    expect((await executors.pollRun(held)).assignment).toBeUndefined();
    const asked = { ...held, heldRunIds: [], timeout: { seconds: 20n } };
    expect((await executors.pollRun(asked)).assignment).toMatchObject(claimOf(run));
    const completion = completionOf(run);
    const completed = await executors.completeRun(completion);
    expect(await executors.completeRun(completion)).toEqual(completed);
    const { runtime } = await runtimes.getRuntime({ runtimeId });
    expect(runtime).toMatchObject({ inputCounts: { consumed: 2n }, executor: { generation: 1n } });
  });
});
