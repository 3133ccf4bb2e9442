// The life of a runtime: ensuring, actions with their reports, preconditions and validation.
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ExecutorPresence,
  InputState,
  RuntimeState,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { clientsOf, type Deployment, openDeployment } from "./support/deployment.ts";
import { executorOf, prompt } from "./support/inputs.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "r";

describe("ensuring a runtime", () => {
  it("registers it once, with an epoch that stays", async () => {
    const { runtimes, namespace } = clientsOf(deployment.url);
    const first = await runtimes.ensureRuntime({ runtimeId, config: { pool: "gpu" } });
    expect(first).toMatchObject({ created: true, revision: 1n });
    expect(first.runtime).toMatchObject({
      namespace,
      runtimeId,
      state: RuntimeState.IDLE,
      registered: true,
      intakeOpen: true,
      runnable: false,
      config: { pool: "gpu", queueLimit: 10_000, attemptLimit: 3, keepAlive: false },
      executor: { presence: ExecutorPresence.NONE, generation: 0n },
    });
    const again = await runtimes.ensureRuntime({ runtimeId });
    expect(again).toMatchObject({ created: false, revision: 1n });
    expect(again.runtime?.epochId).toBe(first.runtime?.epochId);
  });

  it("patches its configuration and keeps the rest", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId, config: { labels: { a: "1" }, pool: "gpu" } });
    const changed = await runtimes.ensureRuntime({
      runtimeId,
      config: { queueLimit: 5, retryBackoff: { initial: { seconds: 2n } } },
    });
    expect(changed.created).toBe(false);
    expect(changed.runtime?.config).toMatchObject({
      labels: { a: "1" },
      pool: "gpu",
      queueLimit: 5,
      retryBackoff: { initial: { seconds: 2n }, max: { seconds: 60n } },
    });
    const cleared = await runtimes.ensureRuntime({ runtimeId, clearLabels: true });
    expect(cleared.runtime?.config?.labels).toEqual({});
  });

  it("brings an unregistered one back with its inputs", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const { runtime } = await runtimes.ensureRuntime({ runtimeId });
    await runtimes.ingest({ runtimeId, input: prompt("x") });
    const { report } = await runtimes.unregisterRuntime({ runtimeId });
    expect(report).toMatchObject({ inputsKept: 1, fencedRunId: "" });
    const gone = await wireErrorOf(runtimes.getRuntime({ runtimeId }));
    expect(gone).toMatchObject({ code: Code.NotFound, reason: "RUNTIME_NOT_REGISTERED" });
    const back = await runtimes.ensureRuntime({ runtimeId });
    expect(back.created).toBe(true);
    expect(back.runtime).toMatchObject({ epochId: runtime?.epochId, queueDepth: 1 });
  });

  it("refuses a configuration outside of its bounds", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const config = { queueLimit: 0, attemptLimit: 101, leaseTtl: { nanos: 5 } };
    const error = await wireErrorOf(runtimes.ensureRuntime({ runtimeId, config }));
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "INVALID_FIELD" });
  });
});

describe("actions", () => {
  it("retire closes the intake and keeps the backlog", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x") });
    const { report, runtime } = await runtimes.retire({ runtimeId, reason: "maintenance" });
    expect(report).toMatchObject({ inputsAbandoned: 0, inputsPendingDrain: 1 });
    expect(runtime).toMatchObject({ state: RuntimeState.RETIRED, intakeOpen: false });
    const again = await runtimes.retire({ runtimeId });
    expect(again.report).toMatchObject({ inputsPendingDrain: 1 });
  });

  it("retire gives the backlog up when asked to and nobody is attached", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const input = prompt("x", { inputId: "i" });
    await runtimes.ingest({ runtimeId, ensure: true, input });
    const { report } = await runtimes.retire({ runtimeId, abandonIfUnattached: true });
    expect(report).toMatchObject({ inputsAbandoned: 1, inputsPendingDrain: 0 });
    const target = { case: "inputId", value: "i" } as const;
    const found = await runtimes.getInput({ runtimeId, target });
    expect(found.input?.state).toBe(InputState.ABANDONED);
  });

  it("recycle reopens with the same epoch and the same inputs", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const before = await runtimes.ensureRuntime({ runtimeId });
    await runtimes.ingest({ runtimeId, input: prompt("x") });
    await runtimes.retire({ runtimeId });
    const { report, runtime } = await runtimes.recycle({ runtimeId });
    expect(report?.inputsTransferred).toBe(1);
    expect(runtime?.state).toBe(RuntimeState.IDLE);
    expect(runtime?.epochId).toBe(before.runtime?.epochId);
  });

  it("reset gives everything up and begins a new epoch", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const before = await runtimes.ensureRuntime({ runtimeId });
    await runtimes.ingest({ runtimeId, input: prompt("x") });
    const { report, runtime } = await runtimes.reset({ runtimeId });
    expect(report?.inputsAbandoned).toBe(1);
    expect(runtime?.epochId).not.toBe(before.runtime?.epochId);
    expect(runtime?.inputCounts).toMatchObject({ accepted: 1n, queued: 0n, abandoned: 1n });
  });

  it("stop ends everything at once and is idempotent", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x") });
    const first = await runtimes.stopRuntime({ runtimeId });
    expect(first.report?.inputsAbandoned).toBe(1);
    expect(first.runtime?.state).toBe(RuntimeState.STOPPED);
    const again = await runtimes.stopRuntime({ runtimeId });
    expect(again.report?.inputsAbandoned).toBe(0);
    expect(again.revision).toBe(first.revision);
  });

  it("destroy is for good", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x") });
    const { report, runtime } = await runtimes.destroy({ runtimeId });
    expect(report?.inputsAbandoned).toBe(1);
    expect(runtime?.state).toBe(RuntimeState.DESTROYED);
    const again = await wireErrorOf(runtimes.ensureRuntime({ runtimeId }));
    expect(again).toMatchObject({ code: Code.FailedPrecondition, reason: "RUNTIME_DESTROYED" });
  });

  it("repeated with its request id is answered as the first time", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x") });
    const first = await runtimes.reset({ runtimeId, requestId: "q" });
    const again = await runtimes.reset({ runtimeId, requestId: "q" });
    expect(again).toEqual(first);
  });
});

describe("a run in flight", () => {
  it("stands against reset, recycle, recover and unregister", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x") });
    await executorOf(clients, runtimeId).takeRun();
    const calls = [
      runtimes.reset({ runtimeId }),
      runtimes.recycle({ runtimeId }),
      runtimes.recover({ runtimeId }),
      runtimes.unregisterRuntime({ runtimeId }),
    ];
    for (const call of calls) {
      expect(await wireErrorOf(call)).toMatchObject({
        code: Code.FailedPrecondition,
        reason: "RUN_IN_FLIGHT",
      });
    }
  });

  it("is taken away from its executor by recover, and its inputs are queued again", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x") });
    const { runId, generation } = await executorOf(clients, runtimeId).takeRun();
    const { report, runtime } = await runtimes.recover({ runtimeId, fenceExecutor: true });
    expect(report).toMatchObject({ inputsRecovered: 1, inputsAbandoned: 0, inputsRequeued: 1 });
    expect(runtime).toMatchObject({ state: RuntimeState.IDLE, queueDepth: 1 });
    const late = executors.failRun({ runtimeId, runId, generation, error: "x", recoverable: true });
    expect((await wireErrorOf(late)).code).toBe(Code.FailedPrecondition);
  });

  it("is named in the report of an unregistration that fences", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x") });
    const { runId } = await executorOf(clients, runtimeId).takeRun();
    const { report } = await runtimes.unregisterRuntime({ runtimeId, fenceExecutor: true });
    expect(report).toMatchObject({ inputsKept: 1, fencedRunId: runId });
  });

  it("is interrupted once, and shows it", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x") });
    const idle = await wireErrorOf(runtimes.interruptRun({ runtimeId }));
    expect(idle.reason).toBe("NO_CURRENT_RUN");
    const { runId, generation } = await executorOf(clients, runtimeId).takeRun();
    const interrupted = await runtimes.interruptRun({ runtimeId, reason: "too long" });
    expect(interrupted).toMatchObject({ runId, generation });
    const { runtime } = await runtimes.getRuntime({ runtimeId });
    expect(runtime?.currentRun).toMatchObject({ runId, interruptRequested: true });
    const again = await runtimes.interruptRun({ runtimeId, runId });
    expect(again.revision).toBe(interrupted.revision);
  });
});

describe("preconditions", () => {
  it("hold an action back when the state is another one", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const { revision, runtime } = await runtimes.ensureRuntime({ runtimeId });
    await runtimes.ingest({ runtimeId, input: prompt("x") });
    const expected = [
      [{ expectedRevision: revision }, "REVISION_MISMATCH"],
      [{ expectedEpochId: "another" }, "EPOCH_MISMATCH"],
      [{ expectedState: RuntimeState.RUNNING }, "STATE_MISMATCH"],
    ] as const;
    for (const [precondition, reason] of expected) {
      const call = runtimes.retire({ runtimeId, ...precondition });
      expect(await wireErrorOf(call)).toMatchObject({ code: Code.Aborted, reason });
    }
    const met = {
      expectedRevision: revision + 1n,
      expectedEpochId: runtime?.epochId ?? "",
      expectedState: RuntimeState.IDLE,
    };
    const { runtime: retired } = await runtimes.retire({ runtimeId, ...met });
    expect(retired?.state).toBe(RuntimeState.RETIRED);
  });

  it("refuse a state that is none", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId });
    const expectedState = RuntimeState.UNSPECIFIED;
    const error = await wireErrorOf(runtimes.retire({ runtimeId, expectedState }));
    expect(error.reason).toBe("INVALID_FIELD");
  });
});

describe("validation only", () => {
  it("reports and plans everything and changes nothing", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const input = prompt("x", { inputId: "i" });
    const { revision } = await runtimes.ingest({ runtimeId, ensure: true, input });
    const planned = await runtimes.reset({ runtimeId, validateOnly: true });
    expect(planned).toMatchObject({ report: { inputsAbandoned: 1 }, revision });
    expect(planned.runtime?.queueDepth).toBe(1);
    expect(planned.plannedEvents.map((event) => event.eventCode)).toEqual([
      "input.abandoned",
      "topology.runtime_reset",
    ]);
    expect(planned.plannedEvents.map((event) => event.revision)).toEqual([
      revision + 1n,
      revision + 1n,
    ]);
    const { runtime } = await runtimes.getRuntime({ runtimeId });
    expect(runtime).toMatchObject({ revision, queueDepth: 1 });
  });

  it("refuses what the action would refuse", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId });
    await runtimes.stopRuntime({ runtimeId });
    const error = await wireErrorOf(runtimes.retire({ runtimeId, validateOnly: true }));
    expect(error).toMatchObject({ code: Code.FailedPrecondition, reason: "INVALID_STATE" });
  });
});
