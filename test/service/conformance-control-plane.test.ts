// The control plane over work that somebody waits for: control goes before work, what is abandoned
// is never run, and its waiters are told. The progress of a peer's response does not wake, so it is
// what waits in a runtime until somebody acts.
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ApplyMode,
  ConsumePoint,
  DrainPolicy,
  type Input,
  InputLane,
  InputSchema,
  InputState,
  PeerResponsePhase,
  QueueMode,
  RoutingDisposition,
  RuntimeState,
  RuntimeTerminationReason,
  WakeMode,
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
  type Identity,
  identityOf,
  readRuntime,
  takeRun,
} from "./support/runs.ts";
import { refusalOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "agent";
const SHORT_POLL = { nanos: 100_000_000 };

/** Progress of a peer's response: it waits in the steer lane and wakes nobody. */
function progress(inputId: string): Input {
  const value = { peerRequestId: "request", phase: PeerResponsePhase.IN_PROGRESS };
  const convention = { convention: { case: "responseProgress", value } } as const;
  const kind = { case: "peer", value: { convention, body: "half done" } } as const;
  return create(InputSchema, { inputId, kind });
}

/** Ingests an input; the waiting itself is answered later. */
async function waitFor({ runtimes }: CaseClients, input: Input) {
  await runtimes.ingest({ runtimeId, ensure: true, input });
  const target = { case: "inputId", value: input.inputId } as const;
  return { ended: runtimes.awaitInput({ runtimeId, target }) };
}

async function runsOf({ executors }: CaseClients, executor: Identity): Promise<number> {
  const poll = { ...executor, runtimeIds: [runtimeId], timeout: SHORT_POLL };
  const { assignment } = await executors.pollRun(poll);
  return assignment === undefined ? 0 : 1;
}

describe("control_plane_contract", () => {
  it("reset_terminates_waited_progress_work_without_running_it", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await runtimes.ensureRuntime({ runtimeId });
    const executor = identityOf("executor");
    await attachIdle(clients, executor, runtimeId);
    const waiting = await waitFor(clients, progress("a"));
    expect(await runsOf(clients, executor)).toBe(0);
    // Decision 4: under a live lease a reset leads to attached.
    const { report, runtime } = await runtimes.reset({ runtimeId });
    expect(report?.inputsAbandoned).toBe(1);
    expect(runtime?.state).toBe(RuntimeState.ATTACHED);
    expect((await waiting.ended).completion?.outcome).toMatchObject({
      case: "runtimeTerminated",
      value: { reason: RuntimeTerminationReason.RESET },
    });
    expect(await runsOf(clients, executor)).toBe(0);
  });

  it("stop_preempts_queued_progress_work", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const executor = identityOf("executor");
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x", { inputId: "a" }) });
    const run = await takeRun(clients, executor, runtimeId);
    const waiting = await waitFor(clients, progress("b"));
    const { report, runtime } = await runtimes.stopRuntime({ runtimeId, reason: "enough" });
    expect(report?.inputsAbandoned).toBe(2);
    expect(runtime?.state).toBe(RuntimeState.STOPPED);
    // Decision 3: stopped has a reason of its own.
    expect((await waiting.ended).completion?.outcome).toMatchObject({
      case: "runtimeTerminated",
      value: { reason: RuntimeTerminationReason.STOPPED },
    });
    const poll = { ...executor, runtimeIds: [runtimeId], timeout: SHORT_POLL };
    const { assignment, controls } = await executors.pollRun(poll);
    expect(assignment).toBeUndefined();
    expect(controls.filter(({ control }) => control.case === "stop")).toMatchObject([
      { runId: run.runId, reason: "enough" },
    ]);
    const again = await executors.pollRun(poll);
    expect(again.controls).toEqual([]);
  });

  it("retire_drains_waited_progress_work_to_completion", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ensureRuntime({ runtimeId });
    const executor = identityOf("executor");
    await attachIdle(clients, executor, runtimeId);
    const waiting = await waitFor(clients, progress("a"));
    expect(await runsOf(clients, executor)).toBe(0);
    const { report } = await runtimes.retire({ runtimeId });
    expect(report).toMatchObject({ inputsAbandoned: 0, inputsPendingDrain: 1 });
    const run = await takeRun(clients, executor, runtimeId);
    expect(run.primitive?.contributingInputIds).toEqual(["a"]);
    const none = { case: "none", value: {} } as const;
    await executors.completeRun({ ...completionOf(run), outcome: none });
    expect((await waiting.ended).completion?.outcome.case).toBe("completedWithoutResult");
    expect(await runsOf(clients, executor)).toBe(0);
    expect((await readRuntime(clients, runtimeId)).state).toBe(RuntimeState.RETIRED);
  });

  it("retire_without_runtime_loop_abandons_waited_work, when asked to (decision 5)", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    const waiting = await waitFor(clients, progress("a"));
    const kept = await runtimes.retire({
      runtimeId,
      abandonIfUnattached: true,
      validateOnly: true,
    });
    expect(kept.report).toMatchObject({ inputsAbandoned: 1, inputsPendingDrain: 0 });
    const { report } = await runtimes.retire({ runtimeId, abandonIfUnattached: true });
    expect(report).toMatchObject({ inputsAbandoned: 1, inputsPendingDrain: 0 });
    expect((await waiting.ended).completion?.outcome).toMatchObject({
      case: "runtimeTerminated",
      value: { reason: RuntimeTerminationReason.RETIRED },
    });
  });

  it("retire with nobody attached keeps the work for the next one (decision 5)", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ingest({ runtimeId, ensure: true, input: progress("a") });
    const { report } = await runtimes.retire({ runtimeId });
    expect(report).toMatchObject({ inputsAbandoned: 0, inputsPendingDrain: 1 });
    const run = await takeRun(clients, identityOf("executor"), runtimeId);
    await executors.completeRun(completionOf(run));
    expect((await readRuntime(clients, runtimeId)).inputCounts?.consumed).toBe(1n);
  });
});

describe("runtime_ingress_control", () => {
  it("reset_preempts_queued_input_once", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    const input = prompt("x", { inputId: "a", idempotencyKey: "k" });
    const waiting = await waitFor(clients, input);
    const first = await runtimes.reset({ runtimeId });
    const second = await runtimes.reset({ runtimeId });
    const abandoned = [first, second].map(({ report }) => report?.inputsAbandoned);
    expect(abandoned).toEqual([1, 0]);
    expect((await waiting.ended).completion?.outcome.case).toBe("runtimeTerminated");
    const executor = identityOf("executor");
    expect(await runsOf(clients, executor)).toBe(0);
    const { outcome } = await runtimes.ingest({ runtimeId, input });
    expect(outcome).toMatchObject({ case: "deduplicated", value: { existingId: "a" } });
    await runtimes.ingest({ runtimeId, input: prompt("y", { inputId: "b" }) });
    const run = await takeRun(clients, executor, runtimeId);
    expect(run.primitive?.contributingInputIds).toEqual(["b"]);
    await executors.completeRun(completionOf(run));
  });

  it("closed_taxonomy: an operation is consumed on accept and never runs", async () => {
    const { runtimes } = clientsOf(deployment.url);
    const input = operationNews({ inputId: "o" });
    const { outcome } = await runtimes.ingest({ runtimeId, ensure: true, input });
    expect(outcome).toMatchObject({
      case: "accepted",
      value: {
        policy: {
          applyMode: ApplyMode.IGNORE,
          wakeMode: WakeMode.NONE,
          queueMode: QueueMode.PRIORITY,
          consumePoint: ConsumePoint.ON_ACCEPT,
          drainPolicy: DrainPolicy.IGNORE,
          routingDisposition: RoutingDisposition.DROP,
          recordTranscript: false,
          emitOperatorContent: false,
          policyVersion: 1,
        },
        input: { state: InputState.CONSUMED, lane: InputLane.UNSPECIFIED },
      },
    });
    const { runtime } = await runtimes.getRuntime({ runtimeId });
    expect(runtime).toMatchObject({ wake: false, runnable: false, queueDepth: 0, steerDepth: 0 });
  });

  it("control goes before work: what an action abandons is fenced from its run", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes, executors } = clients;
    await runtimes.ingest({ runtimeId, ensure: true, input: prompt("x", { inputId: "a" }) });
    const run = await takeRun(clients, identityOf("executor"), runtimeId);
    await runtimes.destroy({ runtimeId });
    const boundary = { ...claimOf(run), ...completionOf(run).finalBoundary };
    expect((await refusalOf(executors.commitBoundary(boundary))).reason).toBe("LEASE_LOST");
    const { receipts } = await runtimes.listBoundaryReceipts({ runtimeId });
    expect(receipts).toEqual([]);
  });
});
