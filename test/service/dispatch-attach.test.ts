// Executors that attach: pools and named runtimes, slots, stickiness, order, what they are told.
import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { CloseStreamReason, LeaseLossReason } from "../../gen/keelson/executor/v1/messages_pb.ts";
import {
  HandlingMode,
  type Input,
  InputSchema,
  InputState,
  RuntimeState,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  attach,
  complete,
  completionOf,
  identity,
  lastBoundary,
  nameOf,
  runtimesOf,
} from "./support/attached-executor.ts";
import type { RuntimeCommand } from "../../src/core/runtime/commands.ts";
import { executorIdOf, incarnationIdOf, inputIdOf, runIdOf } from "../../src/core/shared/ids.ts";
import { streamName } from "../../src/engine/stream-name.ts";
import { makeWorld } from "./support/dispatch-world.ts";
import { prompt } from "./support/inputs.ts";
import { ensure, ensureWithWork, ingest, inputAt, stateOf } from "./support/replica-calls.ts";

const POOL = { pool: "default" };

async function oneReplica() {
  const world = makeWorld();
  const a = await world.addReplica("a");
  const { executors, runtimes } = a;
  return { world, a, executors, runtimes };
}

/** A prompt that steers. */
function steering(text: string): Input {
  const turnMetadata = { handlingMode: HandlingMode.STEER };
  return create(InputSchema, { kind: { case: "prompt", value: { text, turnMetadata } } });
}

describe("an executor of a pool", () => {
  it("gets a heartbeat first, then a backlog that was there before it came", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensure(a, "r"));
    const inputId = await world.pass(ingest(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    expect(worker.messages[0]?.case).toBe("heartbeat");
    expect(worker.runs[0]).toMatchObject({ runtimeId: "r", generation: 1n, attempt: 1 });
    expect(worker.runs[0]?.primitive?.contributingInputIds).toEqual([inputId]);
  });

  it("holds at most as many runs as it has slots", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensureWithWork(a, "r1", "r2", "r3", "r4"));
    const worker = attach(executors, identity("e"), { ...POOL, slots: 2 });
    await world.until(() => worker.runs.length === 2);
    await world.elapse(3000);
    expect(runtimesOf(worker)).toEqual(["r1", "r2"]);
    const [first] = worker.runs;
    if (first) await world.pass(complete(executors, first));
    await world.until(() => worker.runs.length === 3);
    expect(runtimesOf(worker)).toEqual(["r1", "r2", "r3"]);
    expect(a.controlPlane.dispatcher.stats().heldRuns).toBe(2);
  });

  it("does not get runtimes of another pool", async () => {
    const { world, a, executors, runtimes } = await oneReplica();
    await world.pass(runtimes.ensureRuntime({ runtimeId: "gpu-1", config: { pool: "gpu" } }));
    await world.pass(ingest(a, "gpu-1"));
    const other = attach(executors, identity("e1"), POOL);
    await world.elapse(3000);
    expect(other.runs).toHaveLength(0);
    const worker = attach(executors, identity("e2"), { pool: "gpu" });
    await world.until(() => worker.runs.length === 1);
  });

  it("gets back the runtime that it served last, though another has more room", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensure(a, "r"));
    const last = attach(executors, identity("last"), POOL);
    await world.elapse(100);
    await world.pass(ingest(a, "r"));
    await world.until(() => last.runs.length === 1);
    const roomy = attach(executors, identity("roomy"), { ...POOL, slots: 50 });
    await world.elapse(100);
    const [run] = last.runs;
    if (run) await world.pass(complete(executors, run));
    await world.pass(ingest(a, "r"));
    await world.until(() => last.runs.length === 2);
    expect(roomy.runs).toHaveLength(0);
  });

  it("loses a runtime to another executor while it has no room", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensure(a, "r1", "r2"));
    const busy = attach(executors, identity("busy"), POOL);
    await world.elapse(100);
    await world.pass(ingest(a, "r1"));
    await world.until(() => busy.runs.length === 1);
    const [run] = busy.runs;
    if (run) await world.pass(complete(executors, run));
    await world.pass(ingest(a, "r2"));
    await world.until(() => busy.runs.length === 2);
    const free = attach(executors, identity("free"), POOL);
    await world.elapse(100);
    await world.pass(ingest(a, "r1"));
    await world.until(() => free.runs.length === 1);
    expect(runtimesOf(free)).toEqual(["r1"]);
  });

  it("serves ten thousand waiting runtimes oldest first", { timeout: 120_000 }, async () => {
    const { world, executors, runtimes } = await oneReplica();
    const names = Array.from({ length: 10_000 }, (_, index) => `r${index}`);
    for (const runtimeId of names) {
      world.clock.advance(1);
      const ensured = runtimes.ingest({ runtimeId, input: prompt("x"), ensure: true });
      await ensured;
    }
    await world.elapse(1000);
    const worker = attach(executors, identity("e"), { ...POOL, slots: 100 });
    let done = 0;
    while (done < names.length) {
      await world.until(() => worker.runs.length > done);
      const fresh = worker.runs.slice(done);
      await Promise.all(fresh.map((run) => complete(executors, run)));
      done += fresh.length;
    }
    // A hundred slots are filled side by side, so neighbours may swap; nothing else may.
    const places = runtimesOf(worker).map((runtimeId) => Number(runtimeId.slice(1)));
    const strays = places.filter((place, index) => Math.abs(place - index) > 200);
    expect(strays).toEqual([]);
    expect(new Set(places).size).toBe(names.length);
    expect(world.operations.get("views.runnable")).toBeLessThan(200);
  });

  it("works off more than the queue holds without waiting", { timeout: 120_000 }, async () => {
    const { world, a, executors, runtimes } = await oneReplica();
    const worker = attach(executors, identity("e"), { ...POOL, slots: 200 });
    const names = Array.from({ length: 7000 }, (_, index) => `r${index}`);
    for (const runtimeId of names) {
      world.clock.advance(1);
      await runtimes.ingest({ runtimeId, input: prompt("x"), ensure: true });
    }
    expect(a.controlPlane.dispatcher.stats().queued).toBe(5000);
    const atMs = world.clock.monotonicMs();
    let done = 0;
    while (done < names.length) {
      await world.until(() => worker.runs.length > done);
      const fresh = worker.runs.slice(done);
      await Promise.all(fresh.map((run) => complete(executors, run)));
      done += fresh.length;
    }
    const places = runtimesOf(worker).map((runtimeId) => Number(runtimeId.slice(1)));
    expect(places.filter((place, index) => Math.abs(place - index) > 400)).toEqual([]);
    expect(world.clock.monotonicMs() - atMs).toBeLessThan(2000);
  });
});

describe("an executor that names its runtimes", () => {
  it("waits for one that is not registered yet, and holds it from then on", async () => {
    const { world, a, executors } = await oneReplica();
    const worker = attach(executors, identity("e"), { runtimeIds: ["r"] });
    await world.elapse(2000);
    expect(worker.grants).toHaveLength(0);
    await world.pass(ensure(a, "r"));
    await world.until(() => worker.grants.length === 1);
    expect(await world.pass(stateOf(a, "r"))).toBe(RuntimeState.ATTACHED);
    await world.pass(ingest(a, "r"));
    await world.until(() => worker.runs.length === 1);
    expect(worker.runs[0]?.generation).toBe(worker.grants[0]?.generation);
    if (worker.runs[0]) await world.pass(complete(executors, worker.runs[0]));
    expect(await world.pass(stateOf(a, "r"))).toBe(RuntimeState.ATTACHED);
  });

  it("is served the longest waiting runtime first", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensure(a, "r1", "r2", "r3"));
    const worker = attach(executors, identity("e"), { runtimeIds: ["r1", "r2", "r3"] });
    await world.until(() => worker.grants.length === 3);
    await world.pass(ingest(a, "r1"));
    await world.until(() => worker.runs.length === 1);
    for (const runtimeId of ["r3", "r2", "r1"]) {
      await world.pass(ingest(a, runtimeId));
      await world.elapse(100);
    }
    for (const count of [2, 3, 4]) {
      const run = worker.runs.at(-1);
      if (run) await world.pass(complete(executors, run));
      await world.until(() => worker.runs.length === count);
    }
    expect(runtimesOf(worker)).toEqual(["r1", "r3", "r2", "r1"]);
  });

  it("waits for a runtime that another holds, and gets it when it is given back", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensure(a, "r"));
    const first = attach(executors, identity("first"), { runtimeIds: ["r"] });
    await world.until(() => first.grants.length === 1);
    const second = attach(executors, identity("second"), { runtimeIds: ["r"] });
    await world.elapse(2000);
    expect(second.grants).toHaveLength(0);
    const { executorId, incarnationId } = first;
    const gone = executors.detach({ executorId, incarnationId, runtimeIds: ["r"] });
    expect((await world.pass(gone)).released).toMatchObject([{ runtimeId: "r" }]);
    await world.until(() => second.grants.length === 1);
    expect(second.grants[0]?.generation).toBe(2n);
    expect(first.losses).toMatchObject([{ reason: LeaseLossReason.RELEASED, generation: 1n }]);
    expect(first.end()).toBeUndefined();
  });

  it("does not get a runtime again that it gave back", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), { runtimeIds: ["r"] });
    await world.until(() => worker.runs.length === 1);
    const { executorId, incarnationId } = worker;
    await world.pass(executors.detach({ executorId, incarnationId, runtimeIds: ["r"] }));
    await world.elapse(5000);
    expect(worker.grants).toHaveLength(1);
    expect(worker.runs).toHaveLength(1);
    expect(await world.pass(stateOf(a, "r"))).toBe(RuntimeState.IDLE);
  });

  it("gets a runtime that it was fenced from again only after it attached again", async () => {
    const { world, a, executors, runtimes } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), { runtimeIds: ["r"] });
    await world.until(() => worker.runs.length === 1);
    await world.pass(runtimes.recover({ runtimeId: "r", fenceExecutor: true }));
    await world.until(() => worker.end() === true);
    const { runId = "" } = worker.runs[0] ?? {};
    expect(worker.losses).toMatchObject([{ reason: LeaseLossReason.FENCED, runId }]);
    expect(worker.controls).toMatchObject([
      { control: { case: "closeStream", value: { reason: CloseStreamReason.FENCED } } },
    ]);
    await world.elapse(5000);
    expect(await world.pass(stateOf(a, "r"))).toBe(RuntimeState.IDLE);
    const back = attach(executors, worker, { runtimeIds: ["r"] });
    await world.until(() => back.runs.length === 1);
    expect(back.runs[0]).toMatchObject({ generation: 3n, attempt: 1 });
  });

  it("leaves a runtime that it was fenced from to another that named it, too", async () => {
    const { world, a, executors, runtimes } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), { runtimeIds: ["r"] });
    await world.until(() => worker.runs.length === 1);
    const other = attach(executors, identity("f"), { runtimeIds: ["r"] });
    await world.pass(runtimes.recover({ runtimeId: "r", fenceExecutor: true }));
    await world.until(() => other.runs.length === 1);
    expect(other.runs[0]).toMatchObject({ generation: 3n });
  });

  it("is served again after its runtime was unregistered and came back", async () => {
    const { world, a, executors, runtimes } = await oneReplica();
    await world.pass(ensure(a, "r"));
    const worker = attach(executors, identity("e"), { runtimeIds: ["r"] });
    await world.until(() => worker.grants.length === 1);
    await world.pass(runtimes.unregisterRuntime({ runtimeId: "r" }));
    await world.until(() => worker.controls.length === 1);
    expect(worker.controls[0]?.control.case).toBe("unregister");
    expect(worker.losses[0]?.reason).toBe(LeaseLossReason.FENCED);
    await world.pass(ensure(a, "r"));
    await world.until(() => worker.grants.length === 2);
    expect(worker.grants[1]?.generation).toBe(2n);
  });

  it("gets a retry when its backoff is over, without being asked again", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), { runtimeIds: ["r"] });
    await world.until(() => worker.runs.length === 1);
    const [run] = worker.runs;
    if (!run) throw new Error("no run");
    const failedAtMs = world.clock.monotonicMs();
    await world.pass(executors.failRun({ ...nameOf(run), error: "no", recoverable: true }));
    await world.until(() => worker.runs.length === 2);
    expect(worker.runs[1]?.attempt).toBe(2);
    expect(world.clock.monotonicMs() - failedAtMs).toBeGreaterThanOrEqual(800);
  });
});

describe("an attached executor", () => {
  it("is told at once to interrupt, and ends the run by cancelling it", async () => {
    const { world, a, executors, runtimes } = await oneReplica();
    await world.pass(ensure(a, "r"));
    const inputId = await world.pass(ingest(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    const atMs = world.clock.monotonicMs();
    await runtimes.interruptRun({ runtimeId: "r", reason: "enough" });
    await world.until(() => worker.controls.length === 1);
    expect(world.clock.monotonicMs()).toBe(atMs);
    const [run] = worker.runs;
    expect(worker.controls).toMatchObject([
      { control: { case: "interrupt" }, runId: run?.runId, generation: 1n, reason: "enough" },
    ]);
    if (run) await world.pass(executors.cancelRun({ ...nameOf(run), requeue: false }));
    expect(await world.pass(inputAt(a, "r", inputId))).toMatchObject({
      state: InputState.ABANDONED,
    });
  });

  it.each([
    ["stop", "stopRuntime"],
    ["destroy", "destroy"],
  ] as const)("is told to %s, and that its lease is gone", async (control, method) => {
    const { world, a, executors, runtimes } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    const ended: Promise<unknown> = runtimes[method]({ runtimeId: "r" });
    await world.pass(ended);
    await world.until(() => worker.controls.length === 1);
    const runId = worker.runs[0]?.runId;
    expect(worker.controls).toMatchObject([{ control: { case: control }, runId, generation: 1n }]);
    expect(worker.losses).toMatchObject([
      { reason: LeaseLossReason.FENCED, runId, generation: 1n, currentGeneration: 2n },
    ]);
    expect(a.controlPlane.dispatcher.stats().heldRuns).toBe(0);
  });

  it("is told of a retirement and goes on with its run", async () => {
    const { world, a, executors, runtimes } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    await world.pass(runtimes.retire({ runtimeId: "r" }));
    await world.until(() => worker.controls.length === 1);
    expect(worker.controls[0]?.control.case).toBe("retire");
    if (worker.runs[0]) await world.pass(complete(executors, worker.runs[0]));
    expect(await world.pass(stateOf(a, "r"))).toBe(RuntimeState.RETIRED);
  });

  it("is told once how many inputs wait to steer, and takes them at a boundary", async () => {
    const { world, a, executors, runtimes } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    const inputs = ["one", "two", "three"].map((text) => ({ input: steering(text) }));
    const items = inputs.map((item) => ({ ...item, runtimeId: "r" }));
    await world.pass(runtimes.ingestBatch({ items }));
    await world.until(() => worker.steers.length === 1);
    const [run] = worker.runs;
    if (!run) throw new Error("no run");
    expect(worker.steers).toMatchObject([{ runtimeId: "r", runId: run.runId, count: 3 }]);
    const boundary = { ...nameOf(run), ...lastBoundary(run), acceptSteer: true };
    const { steerInputs, receipt } = await world.pass(executors.commitBoundary(boundary));
    expect(receipt?.sequence).toBe(0n);
    expect(steerInputs.map((input) => input.attempt)).toEqual([1, 1, 1]);
    expect(steerInputs.map((input) => input.appends[0]?.content?.content.value)).toEqual([
      "one",
      "two",
      "three",
    ]);
    const again = await world.pass(executors.commitBoundary(boundary));
    expect(again.receipt?.commitHash).toEqual(receipt?.commitHash);
    expect(again.steerInputs.map((input) => input.inputId)).toEqual(
      steerInputs.map((input) => input.inputId),
    );
  });

  it("gets the next run with the answer that ends the last, and only there", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensure(a, "r"));
    await world.pass(ingest(a, "r", "one"));
    await world.pass(ingest(a, "r", "two"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    const [run] = worker.runs;
    if (!run) throw new Error("no run");
    const call = completionOf(run, "done", true);
    const { next } = await world.pass(executors.completeRun(call));
    expect(next).toMatchObject({ runtimeId: "r", generation: run.generation });
    expect(next?.runId).not.toBe(run.runId);
    const again = await world.pass(executors.completeRun(call));
    expect(again.next).toEqual(next);
    await world.elapse(500);
    expect(worker.runs).toHaveLength(1);
    expect(a.controlPlane.dispatcher.stats().heldRuns).toBe(1);
  });

  it("gets a run that starts in the same commit in which another one ends", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensure(a, "r"));
    await world.pass(ingest(a, "r"));
    await world.pass(ingest(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    const [run] = worker.runs;
    if (!run) throw new Error("no run");
    const named = { runId: runIdOf(run.runId), generation: Number(run.generation) };
    const inputIds = lastBoundary(run).contributingInputIds.map(inputIdOf);
    const limits = { batchInputsMax: 1, batchBytesMax: 1 };
    const commands: readonly RuntimeCommand[] = [
      {
        type: "complete_run",
        ...named,
        outcome: { type: "none" },
        finalBoundary: { boundary: "run_start", inputIds, messageCount: 1 },
        takeNext: false,
        bodyHash: "body",
        ...limits,
      },
      {
        type: "assign_run",
        executorId: executorIdOf(worker.executorId),
        incarnationId: incarnationIdOf(worker.incarnationId),
        ttlMs: 30_000,
        ...limits,
      },
    ];
    const stream = streamName("runtime", "default", "r");
    const done = commands.map((command) => {
      return a.controlPlane.runtimes.submit(stream, { name: command.type, bytes: 1, command });
    });
    const atMs = world.clock.monotonicMs();
    const [ended, started] = await world.pass(Promise.all(done));
    expect(ended?.revision).toBe(started?.revision);
    await world.until(() => worker.runs.length === 2);
    // Not because it was taken back and assigned once more.
    expect(world.clock.monotonicMs() - atMs).toBeLessThan(1000);
    expect(a.controlPlane.dispatcher.stats().heldRuns).toBe(1);
  });

  it("gets a run that it was fenced from only after the others had the first go", async () => {
    const { world, a, executors, runtimes } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    await world.pass(runtimes.recover({ runtimeId: "r", fenceExecutor: true }));
    await world.elapse(500);
    expect(worker.runs).toHaveLength(1);
    await world.until(() => worker.runs.length === 2);
    const other = attach(executors, identity("f"), POOL);
    await world.until(() => other.messages.length === 1);
    await world.pass(runtimes.recover({ runtimeId: "r", fenceExecutor: true }));
    await world.until(() => other.runs.length === 1);
    expect(worker.runs).toHaveLength(2);
  });

  it("does not get a run straight back that it handed back, but gets it later", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    const atMs = world.clock.monotonicMs();
    const [run] = worker.runs;
    if (!run) throw new Error("no run");
    const { released } = await world.pass(executors.releaseRun(nameOf(run)));
    expect(released).toBe(true);
    await world.until(() => worker.runs.length === 2);
    expect(world.clock.monotonicMs() - atMs).toBeGreaterThanOrEqual(1000);
    expect(worker.runs[1]).toMatchObject({ attempt: 1, generation: 2n });
  });

  it("hands a run back to whoever else has room", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const first = attach(executors, identity("first"), { ...POOL, slots: 9 });
    await world.until(() => first.runs.length === 1);
    const second = attach(executors, identity("second"), POOL);
    await world.elapse(100);
    const atMs = world.clock.monotonicMs();
    const [run] = first.runs;
    if (run) await executors.releaseRun(nameOf(run));
    await world.until(() => second.runs.length === 1);
    expect(world.clock.monotonicMs()).toBe(atMs);
  });
});
