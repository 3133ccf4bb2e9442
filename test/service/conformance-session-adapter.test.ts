// The session adapter: how registration, executors, runs and waiters go together, as clients see
// it. Cases about drains, and those that take a run in the call that ingests, are not here.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DurabilityTier } from "../../gen/keelson/admin/v1/messages_pb.ts";
import {
  AbandonReason,
  ExecutorPresence,
  InputState,
  RuntimeState,
  RuntimeTerminationReason,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { operationNews, prompt } from "./support/inputs.ts";
import {
  attachIdle,
  claimOf,
  completionOf,
  holdRun,
  identityOf,
  readRuntime,
  takeRun,
  untilState,
  wholeBoundary,
} from "./support/runs.ts";
import { openSharedDatabase } from "./support/shared-database.ts";
import { refusalOf, verdictOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "agent";
const byId = (value: string) => ({ case: "inputId" as const, value });
const NO_WAIT = {};

function named(inputId: string) {
  return prompt(`text of ${inputId}`, { inputId });
}

async function ingest({ runtimes }: CaseClients, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    await runtimes.ingest({ runtimeId, ensure: true, input: named(name) });
  }
}

async function activeOf({ runtimes }: CaseClients): Promise<readonly string[]> {
  const { inputs } = await runtimes.listInputs({ runtimeId, filter: { active: true } });
  return inputs.map(({ inputId }) => inputId);
}

async function completionNow({ runtimes }: CaseClients, inputId: string) {
  const target = byId(inputId);
  const { completion } = await runtimes.awaitInput({ runtimeId, target, timeout: NO_WAIT });
  return completion?.outcome;
}

describe("accepting", () => {
  it("ephemeral_adapter_accept_and_query: the tier is the server's (decision 15)", async () => {
    const clients = clientsOf(deployment.url);
    const { durabilityTier } = await clients.admin.getServerInfo({});
    expect([DurabilityTier.EPHEMERAL, DurabilityTier.PERSISTENT]).toContain(durabilityTier);
    await ingest(clients, "a");
    expect(await activeOf(clients)).toEqual(["a"]);
    const { input } = await clients.runtimes.getInput({ runtimeId, target: byId("a") });
    expect(input?.state).toBe(InputState.QUEUED);
  });

  it("persistent_adapter_accept", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const answer = await runtimes.ingest({ runtimeId, ensure: true, input: named("a") });
    expect(answer).toMatchObject({ outcome: { case: "accepted" }, durable: true, revision: 1n });
  });

  it("accept_input_without_wake_keeps_idle_runtime_idle", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ensureRuntime({ runtimeId });
    const executor = identityOf("executor");
    await attachIdle(clients, executor, runtimeId);
    await runtimes.ingest({ runtimeId, input: named("a"), withoutWake: true });
    const poll = { ...executor, runtimeIds: [runtimeId], timeout: { nanos: 100_000_000 } };
    expect((await executors.pollRun(poll)).assignment).toBeUndefined();
    expect(await readRuntime(clients, runtimeId)).toMatchObject({
      state: RuntimeState.ATTACHED,
      queueDepth: 1,
      wake: false,
      runnable: false,
    });
  });

  it("dedup_terminal_input_returns_none_handle: its end is told (decision 10)", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await ingest(clients, "a");
    const run = await takeRun(clients, identityOf("executor"), runtimeId);
    await executors.completeRun(completionOf(run, { text: "done" }));
    const again = await runtimes.ingestAndAwait({ runtimeId, input: named("a") });
    expect(again.admission?.outcome.case).toBe("deduplicated");
    expect(again.completion?.outcome).toMatchObject({
      case: "completed",
      value: { result: { text: "done" } },
    });
  });

  it("dedup_inflight_input_returns_handle_that_resolves", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await ingest(clients, "a");
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    const both = [1, 2].map(() => runtimes.ingestAndAwait({ runtimeId, input: named("a") }));
    await executors.completeRun(completionOf(run, { text: "shared" }));
    for (const { admission, completion } of await Promise.all(both)) {
      expect(admission?.outcome.case).toBe("deduplicated");
      expect(completion?.outcome).toMatchObject({
        case: "completed",
        value: { result: { text: "shared" } },
      });
    }
  });
});

describe("registration", () => {
  it("unregistered_session_errors", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const calls = [
      runtimes.ingest({ runtimeId, input: named("a") }),
      runtimes.retire({ runtimeId }),
      runtimes.getRuntime({ runtimeId }),
      runtimes.listInputs({ runtimeId }),
      runtimes.interruptRun({ runtimeId }),
    ];
    for (const call of calls) expect(await verdictOf(call)).toBe("RUNTIME_NOT_REGISTERED");
  });

  it("unregister_removes_driver", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await ingest(clients, "a");
    await runtimes.unregisterRuntime({ runtimeId });
    expect((await runtimes.listRuntimes({})).runtimes).toEqual([]);
    expect(await verdictOf(runtimes.getRuntime({ runtimeId }))).toBe("RUNTIME_NOT_REGISTERED");
    await runtimes.ensureRuntime({ runtimeId });
    expect(await activeOf(clients)).toEqual(["a"]);
  });

  it("registered_session_is_not_executor_ready", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const { executor } = await readRuntime(clients, runtimeId);
    expect(executor?.presence).toBe(ExecutorPresence.NONE);
  });

  it("executor_attached_session_is_executor_ready", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const executor = identityOf("executor");
    await attachIdle(clients, executor, runtimeId);
    expect((await readRuntime(clients, runtimeId)).executor).toMatchObject({
      ...executor,
      presence: ExecutorPresence.ATTACHED,
      generation: 1n,
    });
  });

  it("session_has_executor_false_for_unknown: an unknown runtime is no runtime", async () => {
    const clients = clientsOf(deployment.url);
    const { executors, runtimes } = clients;
    const poll = { ...identityOf("executor"), runtimeIds: [runtimeId], timeout: NO_WAIT };
    expect((await executors.pollRun(poll)).assignment).toBeUndefined();
    expect(await verdictOf(runtimes.getRuntime({ runtimeId }))).toBe("RUNTIME_NOT_REGISTERED");
  });

  it("ensure_session_with_executor_upgrades_registered_session", async () => {
    const clients = clientsOf(deployment.url);
    await ingest(clients, "a");
    expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.IDLE);
    const run = await takeRun(clients, identityOf("executor"), runtimeId);
    await clients.executors.completeRun(completionOf(run));
    expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.ATTACHED);
  });

  it("ensure_session_with_executor_racy_registration: one of many gets the runtime", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const contenders = Array.from({ length: 8 }, (_, index) => identityOf(`executor-${index}`));
    const timeout = { nanos: 300_000_000 };
    const polls = contenders.map((identity) =>
      executors.pollRun({ ...identity, runtimeIds: [runtimeId], timeout }),
    );
    await ingest(clients, "a");
    const answers = await Promise.all(polls);
    expect(answers.filter(({ assignment }) => assignment !== undefined)).toHaveLength(1);
    const { runtime } = await runtimes.getRuntime({ runtimeId });
    expect(runtime).toMatchObject({ state: RuntimeState.RUNNING, executor: { generation: 1n } });
  });

  it("ensure_session_with_executor_repairs_stale_attached_driver", async () => {
    const clients = clientsOf(deployment.url);
    const { executors } = clients;
    await ingest(clients, "a");
    const stale = identityOf("stale");
    const { generation } = await holdRun(clients, stale, runtimeId);
    await executors.detach(stale);
    const run = await takeRun(clients, identityOf("fresh"), runtimeId);
    expect(run.generation).toBe(generation + 1n);
    expect(run.primitive?.contributingInputIds).toEqual(["a"]);
  });
});

describe("recycling", () => {
  it("recycle_preserves_queued_work, ephemeral and persistent (decision 15)", async () => {
    const clients = clientsOf(deployment.url);
    await ingest(clients, "a", "b");
    const { report, runtime } = await clients.runtimes.recycle({ runtimeId });
    expect(report?.inputsTransferred).toBe(2);
    expect(runtime?.state).toBe(RuntimeState.IDLE);
    expect(await activeOf(clients)).toEqual(["a", "b"]);
  });

  it("recycle_keeps_waiters_for_preserved_pending_input", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await ingest(clients, "a");
    const waiting = runtimes.awaitInput({ runtimeId, target: byId("a") });
    await runtimes.recycle({ runtimeId });
    const run = await takeRun(clients, identityOf("executor"), runtimeId);
    await executors.completeRun(completionOf(run, { text: "kept" }));
    expect((await waiting).completion?.outcome).toMatchObject({
      case: "completed",
      value: { result: { text: "kept" } },
    });
  });

  it("recycle_attached_runtime_wakes_preserved_queued_work", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ensureRuntime({ runtimeId });
    const executor = identityOf("executor");
    await attachIdle(clients, executor, runtimeId);
    await runtimes.ingest({ runtimeId, input: named("a"), withoutWake: true });
    await runtimes.recycle({ runtimeId });
    const run = await takeRun(clients, executor, runtimeId);
    expect(run.primitive?.contributingInputIds).toEqual(["a"]);
    await executors.completeRun(completionOf(run));
    expect(await readRuntime(clients, runtimeId)).toMatchObject({
      state: RuntimeState.ATTACHED,
      inputCounts: { accepted: 1n, consumed: 1n },
    });
  });
});

describe("running", () => {
  it("accept_with_executor_triggers_loop", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ensureRuntime({ runtimeId });
    const executor = identityOf("executor");
    const waiting = takeRun(clients, executor, runtimeId);
    await untilState(clients, runtimeId, RuntimeState.ATTACHED);
    await ingest(clients, "a");
    await executors.completeRun(completionOf(await waiting));
    expect(await activeOf(clients)).toEqual([]);
    expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.ATTACHED);
  });

  it("successful_execution_fires_boundary_applied", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await ingest(clients, "a");
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    await executors.commitBoundary({ ...claimOf(run), ...wholeBoundary(run) });
    await executors.completeRun(claimOf(run));
    const { input } = await runtimes.getInput({ runtimeId, target: byId("a") });
    expect(input?.history.map(({ toState }) => toState)).toEqual([
      InputState.QUEUED,
      InputState.STAGED,
      InputState.APPLIED,
      InputState.APPLIED_PENDING_CONSUMPTION,
      InputState.CONSUMED,
    ]);
    expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.ATTACHED);
  });

  it("failed_executor_requeues_input: its waiters keep waiting (decision 10)", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await ingest(clients, "a");
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    const failed = await executors.failRun({ ...claimOf(run), error: "no", recoverable: true });
    expect(failed).toMatchObject({ inputsRequeued: 1, inputsAbandoned: 0 });
    const { input } = await runtimes.getInput({ runtimeId, target: byId("a") });
    expect(input).toMatchObject({ state: InputState.QUEUED, attemptCount: 1 });
    expect(input?.nextAttemptTime).toBeDefined();
    expect((await completionNow(clients, "a"))?.case).toBe("pending");
  });

  it("failed_executor_continues_processing_backlog, the failed head first", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const retryBackoff = { initial: { nanos: 1_000_000 }, max: { nanos: 1_000_000 } };
    await runtimes.ensureRuntime({ runtimeId, config: { retryBackoff } });
    await ingest(clients, "a", "b");
    const executor = identityOf("executor");
    const failing = await holdRun(clients, executor, runtimeId);
    await executors.failRun({ ...claimOf(failing), recoverable: true });
    const ran: string[] = [];
    for (let runs = 0; runs < 2; runs += 1) {
      const run = await takeRun(clients, executor, runtimeId);
      ran.push(...(run.primitive?.contributingInputIds ?? []));
      await executors.completeRun(completionOf(run));
    }
    expect(ran).toEqual(["a", "b"]);
    expect(await activeOf(clients)).toEqual([]);
  });

  it("failed_executor_stops_retrying_after_stage_budget_exhausted", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const retryBackoff = { initial: { nanos: 1_000_000 }, max: { nanos: 1_000_000 } };
    await runtimes.ensureRuntime({ runtimeId, config: { retryBackoff } });
    await ingest(clients, "a");
    const executor = identityOf("executor");
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const run = await holdRun(clients, executor, runtimeId);
      expect(run.attempt).toBe(attempt);
      await executors.failRun({ ...claimOf(run), error: `${attempt}`, recoverable: true });
    }
    expect(await completionNow(clients, "a")).toMatchObject({
      case: "abandoned",
      value: { reason: AbandonReason.MAX_ATTEMPTS_EXHAUSTED, attempts: 3, detail: "3" },
    });
    expect(await activeOf(clients)).toEqual([]);
  });

  it("failed_executor_does_not_strand_input_in_apc: under a receipt it is consumed", async () => {
    const clients = clientsOf(deployment.url);
    const { executors } = clients;
    await ingest(clients, "a");
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    await executors.commitBoundary({ ...claimOf(run), ...wholeBoundary(run) });
    await executors.failRun({ ...claimOf(run), error: "late", recoverable: true });
    expect((await completionNow(clients, "a"))?.case).toBe("completedWithoutResult");
    expect(await activeOf(clients)).toEqual([]);
  });

  it("stop_runtime_executor: cut off in the same commit (decision 3)", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await ingest(clients, "a");
    const executor = identityOf("executor");
    const run = await holdRun(clients, executor, runtimeId);
    const { report, runtime } = await runtimes.stopRuntime({ runtimeId });
    expect(report?.inputsAbandoned).toBe(1);
    expect(runtime).toMatchObject({
      state: RuntimeState.STOPPED,
      executor: { presence: ExecutorPresence.NONE },
    });
    const late = await refusalOf(executors.completeRun(completionOf(run)));
    expect(late.reason).toBe("LEASE_LOST");
    const { lost } = await executors.pollRun({ ...executor, runtimeIds: [runtimeId] });
    expect(lost.map(({ runId }) => runId)).toEqual([run.runId]);
  });
});

describe("commits that fail", () => {
  it("boundary_commit_failure_unwinds_loop_state: the call can be repeated", async () => {
    const database = openSharedDatabase();
    const clients = await database.serve({ KEELSON_ANSWER_TIMEOUT_MS: "500" });
    const { executors, runtimes } = clients;
    await ingest(clients, "a");
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    const boundary = { ...claimOf(run), ...wholeBoundary(run) };
    const arrived = database.hold();
    const failed = verdictOf(executors.commitBoundary(boundary));
    await arrived;
    expect(await failed).toBe("DATABASE_UNAVAILABLE");
    const { input } = await runtimes.getInput({ runtimeId, target: byId("a") });
    expect(input?.state).toBe(InputState.STAGED);
    database.release();
    const { receipt } = await executors.commitBoundary(boundary);
    expect(receipt?.sequence).toBe(0n);
    const { receipts } = await runtimes.listBoundaryReceipts({ runtimeId });
    expect(receipts).toEqual([receipt]);
    await database.close();
  });

  it("terminal_snapshot_failure_unregisters_loop_session: it does not (decision 14)", async () => {
    const database = openSharedDatabase();
    const clients = await database.serve({ KEELSON_ANSWER_TIMEOUT_MS: "500" });
    const { executors } = clients;
    await ingest(clients, "a");
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    const completion = completionOf(run, { text: "late" });
    const arrived = database.hold();
    const failed = verdictOf(executors.completeRun(completion));
    await arrived;
    expect(await failed).toBe("DATABASE_UNAVAILABLE");
    expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.RUNNING);
    database.release();
    await executors.completeRun(completion);
    expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.ATTACHED);
    expect(await completionNow(clients, "a")).toMatchObject({
      case: "completed",
      value: { result: { text: "late" } },
    });
    await database.close();
  });
});

describe("waiters", () => {
  it("completion_handle_resolves_without_result", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await ingest(clients, "a");
    const run = await holdRun(clients, identityOf("executor"), runtimeId);
    const waiting = runtimes.awaitInput({ runtimeId, target: byId("a") });
    const none = { case: "none", value: {} } as const;
    await executors.completeRun({ ...completionOf(run), outcome: none });
    expect((await waiting).completion?.outcome.case).toBe("completedWithoutResult");
    const news = operationNews({ inputId: "o" });
    const { completion } = await runtimes.ingestAndAwait({ runtimeId, input: news });
    expect(completion?.outcome.case).toBe("completedWithoutResult");
  });

  it("reset_runtime_resolves_pending_waiters", async () => {
    const clients = clientsOf(deployment.url);
    await ingest(clients, "a");
    const waiting = clients.runtimes.awaitInput({ runtimeId, target: byId("a") });
    await clients.runtimes.reset({ runtimeId });
    expect((await waiting).completion?.outcome).toMatchObject({
      case: "runtimeTerminated",
      value: { reason: RuntimeTerminationReason.RESET },
    });
  });

  it("retire_without_loop_resolves_waiters, when asked to (decision 5)", async () => {
    const clients = clientsOf(deployment.url);
    await ingest(clients, "a");
    const waiting = clients.runtimes.awaitInput({ runtimeId, target: byId("a") });
    await clients.runtimes.retire({ runtimeId, abandonIfUnattached: true });
    expect((await waiting).completion?.outcome).toMatchObject({
      case: "runtimeTerminated",
      value: { reason: RuntimeTerminationReason.RETIRED },
    });
  });
});
