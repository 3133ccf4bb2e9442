// PollRun: the same work by unary calls, for clients without streams.
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import type { PollRunResponse } from "../../gen/keelson/executor/v1/service_pb.ts";
import { LeaseLossReason } from "../../gen/keelson/executor/v1/messages_pb.ts";
import { ExecutorPresence } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { complete, type ExecutorClient, identity, nameOf } from "./support/attached-executor.ts";
import { makeWorld } from "./support/dispatch-world.ts";
import { ensure, ensureWithWork, ingest } from "./support/replica-calls.ts";
import { wireErrorOf } from "./support/wire-error.ts";

const POOL = { pool: "default" };
const NOT_AT_ALL = { seconds: 0n };

interface PollTerms {
  readonly pool?: string;
  readonly runtimeIds?: string[];
  readonly heldRunIds?: string[];
  readonly slots?: number;
  readonly timeout?: { readonly seconds: bigint };
}

async function oneReplica() {
  const world = makeWorld();
  const a = await world.addReplica("a");
  const who = identity("poller");
  const poll = (terms: PollTerms, signal?: AbortSignal): Promise<PollRunResponse> =>
    a.executors.pollRun({ ...POOL, ...who, ...terms }, signal ? { signal } : {});
  const executors: ExecutorClient = a.executors;
  return { world, a, executors, runtimes: a.runtimes, who, poll };
}

describe("PollRun", () => {
  it("answers a backlog at once, also when it is not to wait", async () => {
    const { world, a, poll } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const answer = await world.pass(poll({ timeout: NOT_AT_ALL }));
    expect(answer.assignment).toMatchObject({ runtimeId: "r", generation: 1n, attempt: 1 });
    expect(answer.remaining?.seconds).toBe(30n);
  });

  it("answers nothing at once when there is nothing and it is not to wait", async () => {
    const { world, a, poll } = await oneReplica();
    const atMs = world.clock.monotonicMs();
    const answer = await world.pass(poll({ timeout: NOT_AT_ALL }));
    expect(answer.assignment).toBeUndefined();
    expect(world.clock.monotonicMs() - atMs).toBeLessThan(100);
    await world.pass(ensureWithWork(a, "r"));
    await world.elapse(3000);
    const { runtime } = await world.pass(a.runtimes.getRuntime({ runtimeId: "r" }));
    expect(runtime?.currentRun).toBeUndefined();
  });

  it("gets a named runtime again after a fence with the next poll, and not before", async () => {
    const { world, a, poll, runtimes } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const named = { pool: "", runtimeIds: ["r"] };
    const first = await world.pass(poll(named));
    expect(first.assignment).toMatchObject({ generation: 1n });
    await world.pass(runtimes.recover({ runtimeId: "r", fenceExecutor: true }));
    await world.elapse(3000);
    const { runtime } = await world.pass(runtimes.getRuntime({ runtimeId: "r" }));
    expect(runtime?.executor?.presence).toBe(ExecutorPresence.NONE);
    const second = await world.pass(poll(named));
    expect(second.lost).toMatchObject([{ reason: LeaseLossReason.FENCED }]);
    const third = await world.pass(poll(named));
    expect(third.assignment).toMatchObject({ generation: 3n });
  });

  it("waits for work and answers when it comes", async () => {
    const { world, a, poll } = await oneReplica();
    await world.pass(ensure(a, "r"));
    const waiting = poll({});
    await world.elapse(5000);
    const atMs = world.clock.monotonicMs();
    await world.pass(ingest(a, "r"));
    const { assignment } = await world.pass(waiting);
    expect(assignment?.runtimeId).toBe("r");
    expect(world.clock.monotonicMs()).toBe(atMs);
  });

  it("waits as long as it is told and answers nothing then", async () => {
    const { world, poll } = await oneReplica();
    const atMs = world.clock.monotonicMs();
    const answer = await world.pass(poll({ timeout: { seconds: 7n } }));
    expect(answer).toMatchObject({ controls: [], lost: [], steerAvailable: [] });
    expect(world.clock.monotonicMs() - atMs).toBeGreaterThanOrEqual(7000);
    expect(world.clock.monotonicMs() - atMs).toBeLessThan(7200);
  });

  it("sends a run again until it is named as held", async () => {
    const { world, a, poll } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const { assignment } = await world.pass(poll({}));
    const again = await world.pass(poll({}));
    expect(again.assignment).toEqual(assignment);
    const heldRunIds = assignment ? [assignment.runId] : [];
    const held = await world.pass(poll({ heldRunIds, timeout: NOT_AT_ALL }));
    expect(held.assignment).toBeUndefined();
    const { runtime } = await world.pass(a.runtimes.getRuntime({ runtimeId: "r" }));
    expect(runtime?.currentRun?.acknowledged).toBe(true);
  });

  it("assigns one run per call, and none with all slots taken", async () => {
    const { world, a, poll } = await oneReplica();
    await world.pass(ensureWithWork(a, "r1", "r2", "r3"));
    const first = (await world.pass(poll({ slots: 2 }))).assignment;
    expect(a.controlPlane.dispatcher.stats().heldRuns).toBe(1);
    const held = first ? [first.runId] : [];
    const second = (await world.pass(poll({ slots: 2, heldRunIds: held }))).assignment;
    if (second) held.push(second.runId);
    const third = await world.pass(poll({ slots: 2, heldRunIds: held, timeout: { seconds: 2n } }));
    expect([first?.runtimeId, second?.runtimeId]).toEqual(["r1", "r2"]);
    expect(third.assignment).toBeUndefined();
    expect(a.controlPlane.dispatcher.stats().heldRuns).toBe(2);
  });

  it("assigns nothing while no call waits", async () => {
    const { world, a, poll } = await oneReplica();
    await world.pass(ensure(a, "r"));
    await world.pass(poll({ timeout: NOT_AT_ALL }));
    await world.pass(ingest(a, "r"));
    await world.elapse(5000);
    expect(a.controlPlane.dispatcher.stats().heldRuns).toBe(0);
    expect((await world.pass(poll({}))).assignment?.runtimeId).toBe("r");
  });

  it("tells of an interrupt, again while the run is held, but not without a pause", async () => {
    const { world, a, runtimes, poll } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const { assignment } = await world.pass(poll({}));
    const heldRunIds = assignment ? [assignment.runId] : [];
    const waiting = poll({ heldRunIds });
    await world.elapse(1000);
    await world.pass(runtimes.interruptRun({ runtimeId: "r" }));
    const told = await world.pass(waiting);
    expect(told.controls).toMatchObject([{ control: { case: "interrupt" }, runId: heldRunIds[0] }]);
    const silent = await world.pass(poll({ heldRunIds, timeout: { seconds: 1n } }));
    expect(silent.controls).toEqual([]);
    await world.elapse(5000);
    const reminded = await world.pass(poll({ heldRunIds, timeout: { seconds: 1n } }));
    expect(reminded.controls).toHaveLength(1);
    if (assignment) await world.pass(a.executors.cancelRun(nameOf(assignment)));
  });

  it("tells of a loss until the run is not named any more", async () => {
    const { world, a, runtimes, poll } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const { assignment } = await world.pass(poll({}));
    const heldRunIds = assignment ? [assignment.runId] : [];
    await world.pass(poll({ heldRunIds, timeout: NOT_AT_ALL }));
    await world.pass(runtimes.stopRuntime({ runtimeId: "r" }));
    for (let count = 0; count < 2; count += 1) {
      const { lost } = await world.pass(poll({ heldRunIds, timeout: NOT_AT_ALL }));
      expect(lost).toMatchObject([{ runId: heldRunIds[0], reason: LeaseLossReason.FENCED }]);
    }
    expect((await world.pass(poll({ timeout: NOT_AT_ALL }))).lost).toEqual([]);
  });

  it("serves the newest of several calls; the older ones answer nothing", async () => {
    const { world, a, poll } = await oneReplica();
    await world.pass(ensure(a, "r"));
    const older = [poll({}), poll({})];
    await world.elapse(100);
    const newest = poll({});
    await world.elapse(100);
    for (const answer of await world.pass(Promise.all(older))) {
      expect(answer.assignment).toBeUndefined();
    }
    await world.pass(ingest(a, "r"));
    expect((await world.pass(newest)).assignment?.runtimeId).toBe("r");
  });

  it("keeps the mail of a caller that went away for its next call", async () => {
    const { world, a, runtimes, poll } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const { assignment } = await world.pass(poll({}));
    const heldRunIds = assignment ? [assignment.runId] : [];
    const caller = new AbortController();
    const gone = wireErrorOf(poll({ heldRunIds }, caller.signal));
    await world.elapse(100);
    caller.abort();
    expect(await world.pass(gone)).toMatchObject({ code: Code.Canceled });
    await world.pass(runtimes.retire({ runtimeId: "r" }));
    const { controls } = await world.pass(poll({ heldRunIds }));
    expect(controls).toMatchObject([{ control: { case: "retire" } }]);
  });

  it("answers before the caller's own deadline", async () => {
    const { world, a, who } = await oneReplica();
    const answer = a.executors.pollRun({ ...POOL, ...who }, { timeoutMs: 600_000 });
    await world.elapse(61_000);
    expect((await world.pass(answer)).assignment).toBeUndefined();
    const short = a.executors.pollRun({ ...POOL, ...who }, { timeoutMs: 20_000 });
    await world.elapse(19_600);
    expect((await world.pass(short)).assignment).toBeUndefined();
  });

  it("serves runtimes by name, with the lease kept between runs", async () => {
    const { world, a, executors, poll } = await oneReplica();
    await world.pass(ensure(a, "r"));
    const named = { pool: "", runtimeIds: ["r"] };
    for (let count = 0; count < 3; count += 1) {
      await world.pass(ingest(a, "r"));
      const { assignment } = await world.pass(poll(named));
      expect(assignment?.generation).toBe(1n);
      if (assignment) await world.pass(complete(executors, assignment));
    }
  });

  it("refuses what cannot be meant", async () => {
    const { world, poll } = await oneReplica();
    const both = await world.pass(wireErrorOf(poll({ runtimeIds: ["r"] })));
    expect(both).toMatchObject({ code: Code.InvalidArgument, reason: "INVALID_FIELD" });
    const backwards = await world.pass(wireErrorOf(poll({ timeout: { seconds: -1n } })));
    expect(backwards).toMatchObject({ code: Code.InvalidArgument, reason: "INVALID_FIELD" });
  });

  it("forgets a poller that stays away, but not its leases", async () => {
    const { world, a, poll } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const { assignment } = await world.pass(poll({}));
    const heldRunIds = assignment ? [assignment.runId] : [];
    await world.pass(poll({ heldRunIds, timeout: NOT_AT_ALL }));
    expect(a.controlPlane.dispatcher.stats().sessions).toBe(1);
    await world.elapse(40_000);
    await world.until(() => a.controlPlane.dispatcher.stats().sessions === 0);
  });
});
