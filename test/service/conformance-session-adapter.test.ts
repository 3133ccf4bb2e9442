// The session adapter: how registration, runs and waiters go together, as clients see it. What is
// about executors alone stands with the calls of executors; drains, and calls that ingest and take
// the run at once, are not served yet.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DurabilityTier } from "../../gen/keelson/admin/v1/messages_pb.ts";
import {
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
  claimOf,
  completionOf,
  holdRun,
  identityOf,
  readRuntime,
  takeRun,
  wholeBoundary,
} from "./support/runs.ts";
import { openSharedDatabase } from "./support/shared-database.ts";
import { verdictOf } from "./support/verdict.ts";

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
