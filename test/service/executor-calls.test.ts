// Executors over real connections: streams by every protocol, fencing of every call about a run,
// and calls that are repeated because their answers were lost.
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import * as grpc from "@grpc/grpc-js";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  AttachRequestSchema,
  type AttachResponse,
  AttachResponseSchema,
} from "../../gen/keelson/executor/v1/service_pb.ts";
import {
  HandlingMode,
  InputSchema,
  InputState,
  RunApplyBoundary,
  RuntimeState,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  attach,
  type AttachedExecutor,
  completionOf,
  identity,
  lastBoundary,
  nameOf,
  renew,
} from "./support/attached-executor.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import { wireErrorOf } from "./support/wire-error.ts";

const PATIENCE = { timeout: 20_000, interval: 20 };
const runtimeId = "r";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

/** A prompt that may join the run in flight. */
function steering(text: string) {
  const turnMetadata = { handlingMode: HandlingMode.STEER };
  return create(InputSchema, { kind: { case: "prompt", value: { text, turnMetadata } } });
}

/** A runtime with two prompts and an executor that got the first of them. */
async function running(clients: CaseClients) {
  const { runtimes, executors } = clients;
  await runtimes.ensureRuntime({ runtimeId });
  for (const text of ["one", "two"]) await runtimes.ingest({ runtimeId, input: prompt(text) });
  const worker = attach(executors, identity("e"), { runtimeIds: [runtimeId] });
  await expect.poll(() => worker.runs.length, PATIENCE).toBe(1);
  const [run] = worker.runs;
  if (!run) throw new Error("no run");
  return { worker, run };
}

/** Everything that a refused call must not change. */
async function fingerprint({ runtimes }: CaseClients) {
  const { runtime } = await runtimes.getRuntime({ runtimeId });
  return { revision: runtime?.revision, run: runtime?.currentRun, counts: runtime?.inputCounts };
}

describe.each(["grpc", "connect", "grpc-web"] as const)("an executor over %s", (protocol) => {
  it("attaches, runs and ends a run", async () => {
    const clients = clientsOf(deployment.url, protocol);
    const { worker, run } = await running(clients);
    expect(worker.messages.map((message) => message.case).slice(0, 2)).toEqual([
      "heartbeat",
      "leaseGranted",
    ]);
    expect(run.primitive?.appends[0]?.content?.content.value).toBe("one");
    const { receipt } = await clients.executors.completeRun(completionOf(run, "fine"));
    expect(receipt).toMatchObject({ runId: run.runId, sequence: 0n });
    await expect.poll(() => worker.runs.length, PATIENCE).toBe(2);
    worker.disconnect();
  });

  it("gets its run again after the connection broke", async () => {
    const clients = clientsOf(deployment.url, protocol);
    const { worker, run } = await running(clients);
    worker.disconnect();
    const back = attach(clients.executors, worker, { runtimeIds: [runtimeId] });
    await expect.poll(() => back.runs.length, PATIENCE).toBe(1);
    expect(back.runs[0]).toEqual(run);
    back.disconnect();
  });

  it("sees after a lost answer which inputs still wait for a boundary", async () => {
    const clients = clientsOf(deployment.url, protocol);
    const { executors, runtimes } = clients;
    const { worker, run } = await running(clients);
    const [applied] = run.stagedInputIds;
    expect(run.primitive?.contributingInputIds).toEqual([applied]);
    const reattached = async (times: number) => {
      const back = attach(executors, worker, { runtimeIds: [runtimeId] });
      await expect.poll(() => back.runs.length, PATIENCE).toBe(1);
      back.disconnect();
      expect(back.runs[0]).toMatchObject({ runId: run.runId, nextReceiptSequence: BigInt(times) });
      return back.runs[0];
    };
    worker.disconnect();
    await executors.commitBoundary({ ...nameOf(run), ...lastBoundary(run) });
    const allApplied = await reattached(1);
    expect(allApplied?.stagedInputIds).toEqual([]);
    expect(allApplied?.primitive?.contributingInputIds).toEqual([applied]);
    const { outcome } = await runtimes.ingest({ runtimeId, input: steering("three") });
    const steer = outcome.case === "accepted" ? outcome.value.input?.inputId : undefined;
    const steered = { ...nameOf(run), boundary: RunApplyBoundary.RUN_CHECKPOINT };
    await executors.commitBoundary({ ...steered, messageCount: 2n, acceptSteer: true });
    const oneStaged = await reattached(2);
    expect(oneStaged?.stagedInputIds).toEqual([steer]);
    expect(oneStaged?.primitive?.contributingInputIds).toEqual([steer]);
  });

  it("is told while it waits, and detaches", async () => {
    const clients = clientsOf(deployment.url, protocol);
    const { worker, run } = await running(clients);
    await clients.runtimes.interruptRun({ runtimeId });
    await expect.poll(() => worker.controls.length, PATIENCE).toBe(1);
    expect(worker.controls[0]).toMatchObject({ runId: run.runId, control: { case: "interrupt" } });
    const { executorId, incarnationId } = worker;
    const { released } = await clients.executors.detach({ executorId, incarnationId });
    expect(released).toMatchObject([{ runtimeId }]);
    await expect.poll(() => worker.end(), PATIENCE).toBe(true);
    const { runtime } = await clients.runtimes.getRuntime({ runtimeId });
    expect(runtime).toMatchObject({ state: RuntimeState.IDLE, queueDepth: 2 });
  });
});

it("an executor attaches with the plain gRPC client of Node", async () => {
  const clients = clientsOf(deployment.url);
  await clients.runtimes.ensureRuntime({ runtimeId });
  await clients.runtimes.ingest({ runtimeId, input: prompt("one") });
  const { host } = new URL(deployment.url);
  const client = new grpc.Client(host, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  metadata.set("keelson-namespace", clients.namespace);
  const init: MessageInitShape<typeof AttachRequestSchema> = { ...identity("e"), pool: "default" };
  const call = client.makeServerStreamRequest(
    "/keelson.executor.v1.ExecutorService/Attach",
    (message) => Buffer.from(toBinary(AttachRequestSchema, message)),
    (bytes) => fromBinary(AttachResponseSchema, bytes),
    create(AttachRequestSchema, init),
    metadata,
  );
  const seen: (string | undefined)[] = [];
  call.on("data", ({ message }: AttachResponse) => seen.push(message.case));
  const broken = once(call, "error");
  await expect.poll(() => seen, PATIENCE).toEqual(["heartbeat", "runAssigned"]);
  call.cancel();
  expect(await broken).toMatchObject([{ code: grpc.status.CANCELLED }]);
  client.close();
});

describe("a call with a stale generation", () => {
  it("is refused with LEASE_LOST, whatever it reports, and changes nothing", async () => {
    const clients = clientsOf(deployment.url);
    const { executors, runtimes } = clients;
    const { worker, run } = await running(clients);
    await renew(executors, worker, [run]);
    await runtimes.recover({ runtimeId, fenceExecutor: true });
    await expect.poll(() => worker.end(), PATIENCE).toBe(true);
    const back = attach(executors, worker, { runtimeIds: [runtimeId] });
    await expect.poll(() => back.runs.length, PATIENCE).toBe(1);
    const before = await fingerprint(clients);
    const name = nameOf(run);
    const calls: Record<string, Promise<unknown>> = {
      commitBoundary: executors.commitBoundary({ ...name, ...lastBoundary(run) }),
      completeRun: executors.completeRun(completionOf(run, "late")),
      failRun: executors.failRun({ ...name, error: "late", recoverable: true }),
      cancelRun: executors.cancelRun({ ...name, requeue: true }),
    };
    for (const [method, call] of Object.entries(calls)) {
      const error = await wireErrorOf(call);
      expect({ method, ...error }).toMatchObject({
        method,
        code: Code.FailedPrecondition,
        reason: "LEASE_LOST",
      });
    }
    expect((await executors.releaseRun(name)).released).toBe(false);
    expect(await fingerprint(clients)).toEqual(before);
    const { unknownRunIds } = await renew(executors, worker, [run]);
    expect(unknownRunIds).toEqual([run.runId]);
    expect(worker.losses).toMatchObject([{ runId: run.runId }]);
    back.disconnect();
  });

  it("of another run or a later generation is refused, too", async () => {
    const clients = clientsOf(deployment.url);
    const { worker, run } = await running(clients);
    const before = await fingerprint(clients);
    const name = nameOf(run);
    const other = { ...name, runId: "11111111-1111-7111-8111-111111111111" };
    const notFound = await wireErrorOf(clients.executors.failRun(other));
    expect(notFound).toMatchObject({ code: Code.NotFound, reason: "RUN_NOT_FOUND" });
    const future = clients.executors.failRun({ ...name, generation: run.generation + 1n });
    expect(await wireErrorOf(future)).toMatchObject({ reason: "LEASE_LOST" });
    const unknown = clients.executors.failRun({ ...name, runtimeId: "nobody" });
    expect(await wireErrorOf(unknown)).toMatchObject({ reason: "RUNTIME_NOT_REGISTERED" });
    expect(await fingerprint(clients)).toEqual(before);
    worker.disconnect();
  });
});

describe("a call whose answer was lost", () => {
  /** Repeats a call with the same body and compares; then checks that another body is refused. */
  async function twice<Answer>(call: () => Promise<Answer>): Promise<Answer> {
    const first = await call();
    expect(await call()).toEqual(first);
    return first;
  }

  it("commits a boundary once", async () => {
    const clients = clientsOf(deployment.url);
    const { worker, run } = await running(clients);
    const boundary = { ...nameOf(run), ...lastBoundary(run) };
    const { receipt } = await twice(() => clients.executors.commitBoundary(boundary));
    expect(receipt?.sequence).toBe(0n);
    const later = { ...boundary, contributingInputIds: [], messageCount: 7n };
    expect((await twice(() => clients.executors.commitBoundary(later))).receipt?.sequence).toBe(1n);
    const { receipts } = await clients.runtimes.listBoundaryReceipts({ runtimeId });
    expect(receipts).toHaveLength(2);
    worker.disconnect();
  });

  it("completes a run once, with the same next run", async () => {
    const clients = clientsOf(deployment.url);
    const { worker, run } = await running(clients);
    const { next } = await twice(() => clients.executors.completeRun(completionOf(run, "x", true)));
    expect(next?.primitive?.appends[0]?.content?.content.value).toBe("two");
    const other = clients.executors.completeRun(completionOf(run, "another body", true));
    expect(await wireErrorOf(other)).toMatchObject({ reason: "RUN_ENDED" });
    worker.disconnect();
  });

  it("fails a run once", async () => {
    const clients = clientsOf(deployment.url);
    const { worker, run } = await running(clients);
    const failure = { ...nameOf(run), error: "no", recoverable: false };
    const first = await twice(() => clients.executors.failRun(failure));
    expect(first).toMatchObject({ inputsRequeued: 0, inputsAbandoned: 1 });
    worker.disconnect();
  });

  it("cancels a run once", async () => {
    const clients = clientsOf(deployment.url);
    const { worker, run } = await running(clients);
    const cancel = { ...nameOf(run), requeue: true };
    const first = await twice(() => clients.executors.cancelRun(cancel));
    expect(first).toMatchObject({ inputsRequeued: 1, inputsAbandoned: 0 });
    worker.disconnect();
  });

  it("releases a run once", async () => {
    const clients = clientsOf(deployment.url);
    const { worker, run } = await running(clients);
    const first = await twice(() => clients.executors.releaseRun(nameOf(run)));
    expect(first.released).toBe(true);
    worker.disconnect();
  });
});

describe("the conformance of executors", () => {
  async function stateAt({ runtimes }: CaseClients): Promise<RuntimeState | undefined> {
    return (await runtimes.getRuntime({ runtimeId })).runtime?.state;
  }

  async function inputOf({ runtimes }: CaseClients, inputId: string) {
    const { input } = await runtimes.getInput({
      runtimeId,
      target: { case: "inputId", value: inputId },
    });
    return input;
  }

  function serve(clients: CaseClients, name = "e"): AttachedExecutor {
    return attach(clients.executors, identity(name), { runtimeIds: [runtimeId] });
  }

  async function ingested(clients: CaseClients, text = "x", withoutWake = false): Promise<string> {
    const request = { runtimeId, input: prompt(text), withoutWake };
    const { outcome } = await clients.runtimes.ingest(request);
    return outcome.case === "accepted" ? outcome.value.inputId : "";
  }

  it("registered_session_is_not_executor_ready", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    expect(await stateAt(clients)).toBe(RuntimeState.IDLE);
  });

  it("executor_attached_session_is_executor_ready", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const worker = serve(clients);
    await expect.poll(() => stateAt(clients), PATIENCE).toBe(RuntimeState.ATTACHED);
    worker.disconnect();
  });

  it("accept_with_executor_triggers_loop", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const worker = serve(clients);
    await expect.poll(() => worker.grants.length, PATIENCE).toBe(1);
    await ingested(clients);
    await expect.poll(() => worker.runs.length, PATIENCE).toBe(1);
    for (const run of worker.runs) await clients.executors.completeRun(completionOf(run, "done"));
    const { runtime } = await clients.runtimes.getRuntime({ runtimeId });
    expect(runtime).toMatchObject({ state: RuntimeState.ATTACHED, queueDepth: 0 });
    worker.disconnect();
  });

  it("successful_execution_fires_boundary_applied", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const inputId = await ingested(clients);
    const worker = serve(clients);
    await expect.poll(() => worker.runs.length, PATIENCE).toBe(1);
    for (const run of worker.runs) await clients.executors.completeRun(completionOf(run, "done"));
    expect((await inputOf(clients, inputId))?.state).toBe(InputState.CONSUMED);
    const { receipts } = await clients.runtimes.listBoundaryReceipts({ runtimeId });
    expect(receipts).toMatchObject([{ contributingInputIds: [inputId], sequence: 0n }]);
    worker.disconnect();
  });

  it("failed_executor_requeues_input", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const inputId = await ingested(clients);
    const worker = serve(clients);
    await expect.poll(() => worker.runs.length, PATIENCE).toBe(1);
    const [run] = worker.runs;
    if (run) await clients.executors.failRun({ ...nameOf(run), error: "no", recoverable: true });
    expect(await inputOf(clients, inputId)).toMatchObject({
      state: InputState.QUEUED,
      attemptCount: 1,
    });
    worker.disconnect();
  });

  it("failed_executor_continues_processing_backlog", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const failing = await ingested(clients, "fails");
    await ingested(clients, "goes well");
    const worker = serve(clients);
    await expect.poll(() => worker.runs.length, PATIENCE).toBe(1);
    const [run] = worker.runs;
    if (run) await clients.executors.failRun({ ...nameOf(run), error: "no", recoverable: false });
    await expect.poll(() => worker.runs.length, PATIENCE).toBe(2);
    expect((await inputOf(clients, failing))?.state).toBe(InputState.ABANDONED);
    worker.disconnect();
  });

  it("failed_executor_stops_retrying_after_stage_budget_exhausted", async () => {
    const clients = clientsOf(deployment.url);
    const retryBackoff = { initial: { nanos: 1_000_000 }, max: { nanos: 1_000_000 } };
    await clients.runtimes.ensureRuntime({ runtimeId, config: { retryBackoff } });
    const inputId = await ingested(clients);
    const worker = serve(clients);
    for (const attempt of [1, 2, 3]) {
      await expect.poll(() => worker.runs.length, PATIENCE).toBe(attempt);
      const run = worker.runs.at(-1);
      expect(run?.attempt).toBe(attempt);
      if (run) await clients.executors.failRun({ ...nameOf(run), recoverable: true });
    }
    expect(await inputOf(clients, inputId)).toMatchObject({
      state: InputState.ABANDONED,
      attemptCount: 3,
    });
    worker.disconnect();
  });

  it("failed_executor_does_not_strand_input_in_apc", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const inputId = await ingested(clients);
    const worker = serve(clients);
    await expect.poll(() => worker.runs.length, PATIENCE).toBe(1);
    const [run] = worker.runs;
    if (!run) throw new Error("no run");
    await clients.executors.commitBoundary({ ...nameOf(run), ...lastBoundary(run) });
    await clients.executors.failRun({ ...nameOf(run), error: "no", recoverable: true });
    expect((await inputOf(clients, inputId))?.state).toBe(InputState.CONSUMED);
    worker.disconnect();
  });

  it("accept_input_without_wake_keeps_idle_runtime_idle", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const worker = attach(clients.executors, identity("e"), { pool: "default" });
    await expect.poll(() => worker.messages.length, PATIENCE).toBe(1);
    await ingested(clients, "quiet", true);
    expect(await stateAt(clients)).toBe(RuntimeState.IDLE);
    await ingested(clients, "loud");
    await expect.poll(() => worker.runs.length, PATIENCE).toBe(1);
    expect(worker.runs[0]?.primitive?.appends[0]?.content?.content.value).toBe("quiet");
    worker.disconnect();
  });

  it("recycle_attached_runtime_wakes_preserved_queued_work", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const worker = serve(clients);
    await expect.poll(() => worker.grants.length, PATIENCE).toBe(1);
    const inputId = await ingested(clients, "kept", true);
    const { report } = await clients.runtimes.recycle({ runtimeId });
    expect(report?.inputsTransferred).toBe(1);
    await expect.poll(() => worker.runs.length, PATIENCE).toBe(1);
    expect(worker.runs[0]?.primitive?.contributingInputIds).toEqual([inputId]);
    for (const run of worker.runs) await clients.executors.completeRun(completionOf(run, "done"));
    expect(await stateAt(clients)).toBe(RuntimeState.ATTACHED);
    worker.disconnect();
  });

  it("ensure_session_with_executor_racy_registration", async () => {
    const clients = clientsOf(deployment.url);
    const worker = serve(clients);
    const ensured = Array.from({ length: 8 }, () => clients.runtimes.ensureRuntime({ runtimeId }));
    const answers = await Promise.all(ensured);
    expect(answers.filter((answer) => answer.created)).toHaveLength(1);
    await expect.poll(() => worker.grants.length, PATIENCE).toBe(1);
    worker.disconnect();
  });

  it("stop_runtime_executor tells the executor, abandons all and is terminal", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const inputId = await ingested(clients);
    const worker = serve(clients);
    await expect.poll(() => worker.runs.length, PATIENCE).toBe(1);
    await clients.runtimes.stopRuntime({ runtimeId });
    await expect.poll(() => worker.controls.length, PATIENCE).toBe(1);
    expect(worker.controls[0]?.control.case).toBe("stop");
    expect((await inputOf(clients, inputId))?.state).toBe(InputState.ABANDONED);
    expect(await stateAt(clients)).toBe(RuntimeState.STOPPED);
    worker.disconnect();
  });
});
