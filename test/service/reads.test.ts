// Reading runtimes, inputs and receipts: present and past, live and long over, page by page.
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  InputKind,
  InputState,
  type Runtime,
  RuntimeState,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { executorOf, operationNews, prompt } from "./support/inputs.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "r";
const byId = (value: string) => ({ case: "inputId" as const, value });

describe("runtimes", () => {
  it("can be read as they were at any revision", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId });
    await runtimes.ingest({ runtimeId, input: prompt("x") });
    await runtimes.retire({ runtimeId });
    const states: (Runtime | undefined)[] = [];
    for (const atRevision of [1n, 2n, 3n]) {
      states.push((await runtimes.getRuntime({ runtimeId, atRevision })).runtime);
    }
    expect(states).toMatchObject([
      { revision: 1n, state: RuntimeState.IDLE, queueDepth: 0 },
      { revision: 2n, state: RuntimeState.IDLE, queueDepth: 1 },
      { revision: 3n, state: RuntimeState.RETIRED, queueDepth: 1 },
    ]);
    const beyond = await wireErrorOf(runtimes.getRuntime({ runtimeId, atRevision: 4n }));
    expect(beyond).toMatchObject({ code: Code.NotFound, reason: "REVISION_NOT_FOUND" });
  });

  it("are listed by name and filtered", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const team = { team: "a" };
    await runtimes.ensureRuntime({ runtimeId: "a", config: { labels: team } });
    await runtimes.ensureRuntime({ runtimeId: "b", config: { labels: team, pool: "gpu" } });
    await runtimes.ingest({ runtimeId: "c", ensure: true, input: prompt("x") });
    await runtimes.ensureRuntime({ runtimeId: "d" });
    await runtimes.unregisterRuntime({ runtimeId: "d" });
    await runtimes.ensureRuntime({ runtimeId: "e" });
    await runtimes.destroy({ runtimeId: "e" });
    const namesOf = async (filter?: Parameters<typeof runtimes.listRuntimes>[0]["filter"]) => {
      const page = await runtimes.listRuntimes(filter ? { filter } : {});
      return page.runtimes.map((runtime) => runtime.runtimeId);
    };
    expect(await namesOf()).toEqual(["a", "b", "c", "e"]);
    expect(await namesOf({ labels: team })).toEqual(["a", "b"]);
    expect(await namesOf({ labels: team, pool: "gpu" })).toEqual(["b"]);
    expect(await namesOf({ runnable: true })).toEqual(["c"]);
    expect(await namesOf({ runnable: false })).toEqual(["a", "b", "e"]);
    expect(await namesOf({ states: [RuntimeState.DESTROYED] })).toEqual(["e"]);
    expect(await namesOf({ registered: false })).toEqual(["d"]);
  });

  it("with a run in flight are listed with its inputs", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const input = prompt("x", { inputId: "i" });
    await runtimes.ingest({ runtimeId, ensure: true, input });
    const { runId } = await executorOf(clients, runtimeId).takeRun();
    const { runtimes: listed } = await runtimes.listRuntimes({});
    expect(listed).toMatchObject([
      {
        state: RuntimeState.RUNNING,
        currentRun: { runId, contributingInputIds: ["i"], executorId: "executor" },
      },
    ]);
  });

  it("are listed page by page, with tokens for this list only", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const names = Array.from({ length: 7 }, (_, index) => `r-${index}`);
    await Promise.all(names.map((name) => runtimes.ensureRuntime({ runtimeId: name })));
    const listed: string[] = [];
    let pageToken = "";
    let lastToken = "";
    do {
      const page = await runtimes.listRuntimes({ pageSize: 3, pageToken });
      listed.push(...page.runtimes.map((runtime) => runtime.runtimeId));
      lastToken = pageToken;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(listed).toEqual(names);
    const filter = { pool: "another" };
    const error = await wireErrorOf(runtimes.listRuntimes({ filter, pageToken: lastToken }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "PAGE_TOKEN_INVALID" });
  });

  it("are verified from their first revision on", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId });
    await runtimes.ingest({ runtimeId, input: prompt("x") });
    const found = await runtimes.verifyRuntime({ runtimeId });
    expect(found).toMatchObject({ valid: true, commitCount: 2n, problem: "" });
    expect(found.headHash).toMatch(/^[0-9a-f]{64}$/);
    const nobody = await wireErrorOf(runtimes.verifyRuntime({ runtimeId: "nobody" }));
    expect(nobody).toMatchObject({ code: Code.NotFound, reason: "STREAM_NOT_FOUND" });
  });
});

async function runOnce(clients: CaseClients, inputId: string): Promise<string> {
  const input = prompt(`text of ${inputId}`, { inputId });
  await clients.runtimes.ingest({ runtimeId, ensure: true, input });
  const executor = executorOf(clients, runtimeId);
  const run = await executor.takeRun();
  await executor.complete(run, `result of ${inputId}`);
  const { executorId, incarnationId } = executor;
  await clients.executors.detach({ executorId, incarnationId });
  return run.runId;
}

describe("inputs", () => {
  it("are read with their history, payload and end", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const runId = await runOnce(clients, "i");
    const found = await runtimes.getInput({ runtimeId, target: byId("i"), includePayload: true });
    expect(found.input).toMatchObject({
      state: InputState.CONSUMED,
      lastRunId: runId,
      lastBoundarySequence: 0n,
      attemptCount: 1,
      terminalOutcome: { outcome: { case: "consumed", value: { runId } } },
      input: { kind: { case: "prompt", value: { text: "text of i" } } },
    });
    expect(found.input?.history.map((step) => step.toState)).toEqual([
      InputState.QUEUED,
      InputState.STAGED,
      InputState.APPLIED,
      InputState.APPLIED_PENDING_CONSUMPTION,
      InputState.CONSUMED,
    ]);
    expect(found.completion?.outcome).toMatchObject({
      case: "completed",
      value: { result: { text: "result of i" } },
    });
    const bare = await runtimes.getInput({ runtimeId, target: byId("i") });
    expect(bare.input?.input).toBeUndefined();
  });

  it("are found by their key", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const input = prompt("x", { inputId: "i", idempotencyKey: "k" });
    await runtimes.ingest({ runtimeId, ensure: true, input });
    const target = { case: "idempotencyKey", value: "k" } as const;
    expect((await runtimes.getInput({ runtimeId, target })).input?.inputId).toBe("i");
    const other = { case: "idempotencyKey", value: "other" } as const;
    const error = await wireErrorOf(runtimes.getInput({ runtimeId, target: other }));
    expect(error).toMatchObject({ code: Code.NotFound, reason: "INPUT_NOT_FOUND" });
  });

  it("are listed in admission order, filtered and page by page", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const items = Array.from({ length: 25 }, (_, index) => {
      const header = { inputId: `i-${index}` };
      const input = index % 5 === 0 ? operationNews(header) : prompt(`text ${index}`, header);
      return { runtimeId, ensure: true, input };
    });
    await runtimes.ingestBatch({ items });
    const idsOf = async (filter: Parameters<typeof runtimes.listInputs>[0]["filter"]) => {
      const page = await runtimes.listInputs(filter ? { runtimeId, filter } : { runtimeId });
      return page.inputs.map((status) => Number(status.inputId.slice(2)));
    };
    const all = items.map((_, index) => index);
    const over = all.filter((index) => index % 5 === 0);
    const live = all.filter((index) => index % 5 !== 0);
    expect(await idsOf(undefined)).toEqual(all);
    expect(await idsOf({ active: true })).toEqual(live);
    expect(await idsOf({ active: false })).toEqual(over);
    expect(await idsOf({ kinds: [InputKind.OPERATION] })).toEqual(over);
    expect(await idsOf({ states: [InputState.QUEUED] })).toEqual(live);
    const listed: string[] = [];
    let pageToken = "";
    do {
      const page = await runtimes.listInputs({
        runtimeId,
        pageSize: 10,
        pageToken,
        includePayload: true,
      });
      for (const status of page.inputs) expect(status.input?.inputId).toBe(status.inputId);
      listed.push(...page.inputs.map((status) => status.inputId));
      ({ nextPageToken: pageToken } = page);
    } while (pageToken !== "");
    expect(listed).toEqual(items.map((item) => item.input.inputId));
  });

  it("that are thousands are all there, also those long over", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const count = 3_000;
    for (let start = 0; start < count; start += 1_000) {
      const items = Array.from({ length: 1_000 }, (_, index) => ({
        runtimeId,
        ensure: true,
        input: operationNews({
          inputId: `i-${start + index}`,
          idempotencyKey: `k-${start + index}`,
        }),
      }));
      await runtimes.ingestBatch({ items });
    }
    let found = 0;
    let pageToken = "";
    do {
      const page = await runtimes.listInputs({ runtimeId, pageSize: 1_000, pageToken });
      for (const status of page.inputs) {
        expect(status.inputId).toBe(`i-${found}`);
        found += 1;
      }
      ({ nextPageToken: pageToken } = page);
    } while (pageToken !== "");
    expect(found).toBe(count);
    const first = await runtimes.getInput({ runtimeId, target: byId("i-0") });
    expect(first.completion?.outcome.case).toBe("completedWithoutResult");
    const retried = operationNews({ idempotencyKey: "k-0" });
    const { outcome } = await runtimes.ingest({ runtimeId, input: retried });
    expect(outcome).toMatchObject({ case: "deduplicated", value: { existingId: "i-0" } });
  });
});

describe("receipts", () => {
  it("are found by run and sequence, with the hash of their commit", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, admin } = clients;
    const runId = await runOnce(clients, "i");
    const { receipt } = await runtimes.loadBoundaryReceipt({ runtimeId, runId, sequence: 0n });
    expect(receipt).toMatchObject({
      runtimeId,
      runId,
      sequence: 0n,
      contributingInputIds: ["i"],
      messageCount: 1n,
    });
    const stream = { kind: "runtime", id: runtimeId };
    const { commits } = await admin.listCommits({ stream });
    const commit = commits.find((candidate) => candidate.revision === receipt?.revision);
    expect(receipt?.commitHash).toBe(commit?.hash);
  });

  it("that are not there are an empty answer", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const missing = { runtimeId: "nobody", runId: "run", sequence: 0n };
    expect((await runtimes.loadBoundaryReceipt(missing)).receipt).toBeUndefined();
  });

  it("are listed in the order of their commits", async () => {
    const clients = clientsOf(deployment.url);
    const runIds = [await runOnce(clients, "a"), await runOnce(clients, "b")];
    const { receipts } = await clients.runtimes.listBoundaryReceipts({ runtimeId });
    expect(receipts.map((receipt) => receipt.runId)).toEqual(runIds);
    const [, runId = ""] = runIds;
    const own = await clients.runtimes.listBoundaryReceipts({ runtimeId, runId });
    expect(own.receipts.map((receipt) => receipt.contributingInputIds)).toEqual([["b"]]);
  });
});
