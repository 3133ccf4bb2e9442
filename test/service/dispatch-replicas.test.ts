// Work that comes in at one replica and executors that are attached at another.
import { describe, expect, it } from "vitest";
import { CloseStreamReason } from "../../gen/keelson/executor/v1/messages_pb.ts";
import { RuntimeState } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  attach,
  complete,
  identity,
  keepRenewing,
  lastBoundary,
  nameOf,
  renew,
  runtimesOf,
} from "./support/attached-executor.ts";
import { streamName } from "../../src/engine/stream-name.ts";
import { makeWorld } from "./support/dispatch-world.ts";
import { ensure, ensureWithWork, ingest, stateOf } from "./support/replica-calls.ts";

const POOL = { pool: "default" };

async function twoReplicas() {
  const world = makeWorld();
  const a = await world.addReplica("a");
  const b = await world.addReplica("b");
  await world.elapse(3000);
  return { world, a, b };
}

describe("an incarnation that attaches at another replica", () => {
  it("has its older stream closed at once, and gets its run at the newer one", async () => {
    const { world, a, b } = await twoReplicas();
    await world.pass(ensureWithWork(a, "r"));
    const older = attach(a.executors, identity("e"), POOL);
    await world.until(() => older.runs.length === 1);
    // Until the run is in the views, by which the other replica finds it.
    await world.elapse(500);
    const atMs = world.clock.monotonicMs();
    const newer = attach(b.executors, older, POOL);
    await world.until(() => older.end() === true);
    expect(older.messages.at(-1)).toMatchObject({
      value: { control: { case: "closeStream", value: { reason: CloseStreamReason.REPLACED } } },
    });
    expect(world.clock.monotonicMs() - atMs).toBeLessThan(1000);
    await world.until(() => newer.runs.length === 1);
    expect(newer.runs[0]).toEqual(older.runs[0]);
  });

  it("has it closed after a while when the signal is lost, and the newer one goes on", async () => {
    const { world, a, b } = await twoReplicas();
    const older = attach(a.executors, identity("e"), POOL);
    await world.elapse(100);
    world.loses = ({ port, method }) => port === "signals" && method === "publish";
    const newer = attach(b.executors, older, POOL);
    const renewals = keepRenewing(world.clock, 5000, () => renew(b.executors, newer));
    await world.until(() => older.end() === true);
    await world.elapse(60_000);
    expect(newer.end()).toBeUndefined();
    renewals.stop();
  });
});

describe("work that comes in at another replica", () => {
  it("is handed out with the signal, without time passing", async () => {
    const { world, a, b } = await twoReplicas();
    const worker = attach(b.executors, identity("e"), POOL);
    await world.elapse(500);
    await world.pass(ensure(a, "r"));
    const atMs = world.clock.monotonicMs();
    await world.pass(ingest(a, "r"));
    await world.until(() => worker.runs.length === 1);
    expect(world.clock.monotonicMs()).toBe(atMs);
  });

  it("costs the replica of the executor one read and the commit of the run", async () => {
    const { world, a, b } = await twoReplicas();
    const worker = attach(b.executors, identity("e"), POOL);
    await world.pass(ensureWithWork(a, "r"));
    await world.until(() => worker.runs.length === 1);
    const [first] = worker.runs;
    if (first) await world.pass(complete(b.executors, first));
    await world.elapse(500);
    const asked: string[] = [];
    world.loses = ({ connection, port, method }) => {
      if (connection === "b" && port === "journal") asked.push(method);
      return false;
    };
    await world.pass(ingest(a, "r"));
    await world.until(() => worker.runs.length === 2);
    expect(asked).toEqual(["readAfter", "append"]);
  });

  it("is handed out within about a second when signals are lost", async () => {
    const { world, a, b } = await twoReplicas();
    world.loses = ({ port, method }) => port === "signals" && method === "publish";
    const worker = attach(b.executors, identity("e"), POOL);
    await world.elapse(500);
    await world.pass(ensure(a, "r"));
    const atMs = world.clock.monotonicMs();
    await world.pass(ingest(a, "r"));
    await world.until(() => worker.runs.length === 1);
    expect(world.clock.monotonicMs() - atMs).toBeLessThanOrEqual(1500);
  });

  it("reaches an executor that holds the runtime by name", async () => {
    const { world, a, b } = await twoReplicas();
    await world.pass(ensure(a, "r"));
    const worker = attach(b.executors, identity("e"), { runtimeIds: ["r"] });
    await world.until(() => worker.grants.length === 1);
    for (let count = 1; count <= 3; count += 1) {
      const atMs = world.clock.monotonicMs();
      await world.pass(ingest(a, "r"));
      await world.until(() => worker.runs.length === count);
      expect(world.clock.monotonicMs()).toBe(atMs);
      const run = worker.runs.at(-1);
      // The end is reported at the other replica, too.
      if (run) await world.pass(complete(a.executors, run));
    }
  });

  it("reaches an executor that names a runtime before it is registered", async () => {
    const { world, a, b } = await twoReplicas();
    const worker = attach(b.executors, identity("e"), { runtimeIds: ["r"] });
    await world.elapse(500);
    await world.pass(ensureWithWork(a, "r"));
    await world.until(() => worker.runs.length === 1);
    expect(worker.grants).toMatchObject([{ runtimeId: "r", generation: 1n }]);
  });

  it("goes to idle executors at both replicas, one run each", async () => {
    const { world, a, b } = await twoReplicas();
    const one = attach(a.executors, identity("one"), POOL);
    const two = attach(b.executors, identity("two"), POOL);
    await world.elapse(500);
    await world.pass(ensureWithWork(a, "r1", "r2"));
    await world.until(() => one.runs.length === 1 && two.runs.length === 1);
    await world.elapse(3000);
    expect([...runtimesOf(one), ...runtimesOf(two)].toSorted()).toEqual(["r1", "r2"]);
  });

  it("keeps executors of another replica busy, run after run", async () => {
    const { world, a, b } = await twoReplicas();
    const names = Array.from({ length: 40 }, (_, index) => `r${index}`);
    const worker = attach(b.executors, identity("e"), POOL);
    await world.elapse(500);
    await world.pass(ensureWithWork(a, ...names));
    const atMs = world.clock.monotonicMs();
    for (let count = 1; count <= names.length; count += 1) {
      await world.until(() => worker.runs.length === count);
      const run = worker.runs.at(-1);
      if (run) await world.pass(complete(b.executors, run));
    }
    // Far from a second per run, which is what the poll alone would give.
    expect(world.clock.monotonicMs() - atMs).toBeLessThan(4000);
  });

  it("goes back to the last executor, at whichever replica it is", async () => {
    const { world, a, b } = await twoReplicas();
    await world.pass(ensure(a, "r"));
    const last = attach(b.executors, identity("last"), POOL);
    await world.elapse(500);
    await world.pass(ingest(a, "r"));
    await world.until(() => last.runs.length === 1);
    const other = attach(a.executors, identity("other"), { ...POOL, slots: 9 });
    await world.elapse(500);
    if (last.runs[0]) await world.pass(complete(b.executors, last.runs[0]));
    await world.pass(ingest(a, "r"));
    await world.until(() => last.runs.length === 2);
    expect(other.runs).toHaveLength(0);
  });

  it("goes to another executor when the last one is gone", async () => {
    const { world, a, b } = await twoReplicas();
    await world.pass(ensure(a, "r"));
    const last = attach(b.executors, identity("last"), POOL);
    await world.elapse(500);
    await world.pass(ingest(a, "r"));
    await world.until(() => last.runs.length === 1);
    if (last.runs[0]) await world.pass(complete(b.executors, last.runs[0]));
    last.disconnect();
    const other = attach(a.executors, identity("other"), POOL);
    await world.elapse(500);
    const atMs = world.clock.monotonicMs();
    await world.pass(ingest(a, "r"));
    await world.until(() => other.runs.length === 1);
    expect(world.clock.monotonicMs() - atMs).toBeLessThanOrEqual(150);
  });
});

describe("an executor at one replica", () => {
  it("is told at once what is done to its runtime at another", async () => {
    const { world, a, b } = await twoReplicas();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(b.executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    const atMs = world.clock.monotonicMs();
    await world.pass(a.runtimes.interruptRun({ runtimeId: "r" }));
    await world.until(() => worker.controls.length === 1);
    await world.pass(a.runtimes.recover({ runtimeId: "r", fenceExecutor: true }));
    await world.until(() => worker.losses.length === 1);
    expect(world.clock.monotonicMs()).toBe(atMs);
  });

  it("takes its runs along when it attaches at another", async () => {
    const { world, a, b } = await twoReplicas();
    await world.pass(ensureWithWork(a, "r1", "r2"));
    const who = identity("e");
    const before = attach(a.executors, who, { ...POOL, slots: 2 });
    await world.until(() => before.runs.length === 2);
    await world.pass(renew(a.executors, who, before.runs));
    await world.elapse(500);
    before.disconnect();
    const [held, lost] = before.runs;
    const heldRunIds = held ? [held.runId] : [];
    const after = attach(b.executors, who, { ...POOL, slots: 2, heldRunIds });
    await world.until(() => after.runs.length === 1);
    expect(after.runs).toEqual([lost]);
    await world.pass(a.runtimes.interruptRun({ runtimeId: held?.runtimeId ?? "" }));
    await world.until(() => after.controls.length === 1);
    expect(after.controls[0]?.runId).toBe(held?.runId);
  });

  it("hears of the end of a run that the views did not show when it attached", async () => {
    const { world, a, b } = await twoReplicas();
    const who = identity("e");
    const before = attach(a.executors, who, POOL);
    await world.elapse(500);
    world.loses = ({ connection, port, method }) =>
      connection === "a" && port === "views" && method === "upsert";
    await world.pass(ensureWithWork(a, "r"));
    await world.until(() => before.runs.length === 1);
    await world.pass(renew(a.executors, who, before.runs));
    before.disconnect();
    const heldRunIds = before.runs.map((run) => run.runId);
    const after = attach(b.executors, who, { ...POOL, heldRunIds });
    await world.until(() => after.messages.length === 1);
    world.loses = () => false;
    await world.elapse(2000);
    await world.pass(renew(b.executors, who, before.runs));
    await world.pass(a.runtimes.interruptRun({ runtimeId: "r" }));
    await world.until(() => after.controls.length === 1);
    expect(b.controlPlane.dispatcher.stats().heldRuns).toBe(1);
  });

  it("reports boundaries and ends at any of them", async () => {
    const { world, a, b } = await twoReplicas();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(b.executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    const [run] = worker.runs;
    if (!run) throw new Error("no run");
    await world.pass(a.executors.commitBoundary({ ...nameOf(run), ...lastBoundary(run) }));
    await world.pass(
      b.executors.completeRun({ ...nameOf(run), outcome: { case: "none", value: {} } }),
    );
    expect(await world.pass(stateOf(a, "r"))).toBe(RuntimeState.IDLE);
    await world.until(() => b.controlPlane.dispatcher.stats().heldRuns === 0);
  });
});

describe("a backlog with nobody attached", () => {
  it("costs no looks, no loads and no signals beyond its own", async () => {
    const { world, a, b } = await twoReplicas();
    const names = Array.from({ length: 50 }, (_, index) => `r${index}`);
    await world.pass(ensureWithWork(a, ...names));
    await world.elapse(3000);
    const before = new Map(world.operations);
    await world.elapse(60_000);
    expect(world.operations.get("views.runnable")).toBeUndefined();
    expect(world.operations.get("journal.append")).toBe(before.get("journal.append"));
    expect(world.operations.get("signals.publish")).toBe(before.get("signals.publish"));
    expect(world.operations.get("journal.readAfter")).toBe(before.get("journal.readAfter"));
    expect(b.controlPlane.engine.cache.stats().streams).toBe(0);
    const worker = attach(b.executors, identity("e"), { ...POOL, slots: 50 });
    await world.until(() => worker.runs.length === 50);
  });

  it("does not make replicas pass hints around when all executors are busy", async () => {
    const { world, a, b } = await twoReplicas();
    const one = attach(a.executors, identity("one"), POOL);
    const two = attach(b.executors, identity("two"), POOL);
    await world.elapse(500);
    await world.pass(ensureWithWork(a, "busy1", "busy2"));
    await world.until(() => one.runs.length === 1 && two.runs.length === 1);
    await world.pass(ensure(a, "r"));
    // The other replica has the runtime at hand, so that it folds the commit itself.
    expect(await world.pass(stateOf(b, "r"))).toBe(RuntimeState.IDLE);
    await world.elapse(1000);
    const before = world.operations.get("signals.publish") ?? 0;
    await world.pass(ingest(a, "r"));
    await world.elapse(900);
    // One signal tells of the commit and of the work in it.
    expect((world.operations.get("signals.publish") ?? 0) - before).toBe(1);
    expect(b.controlPlane.runtimes.peek(streamName("runtime", "default", "r"))?.revision).toBe(2);
  });
});
