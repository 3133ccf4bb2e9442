// The streams of executors: how they are taken over, break, drain and end.
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { CloseStreamReason, LeaseLossReason } from "../../gen/keelson/executor/v1/messages_pb.ts";
import { RuntimeState } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { attach, complete, identity, renew } from "./support/attached-executor.ts";
import { makeWorld } from "./support/dispatch-world.ts";
import { ensureWithWork, stateOf } from "./support/replica-calls.ts";

const POOL = { pool: "default" };

async function oneReplica() {
  const world = makeWorld();
  const a = await world.addReplica("a");
  return { world, a, executors: a.executors };
}

describe("the stream of an executor", () => {
  it("is closed when the same incarnation attaches again, which keeps its runs", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensureWithWork(a, "r1", "r2"));
    const who = identity("e");
    const older = attach(executors, who, { ...POOL, slots: 2 });
    await world.until(() => older.runs.length === 2);
    const [held, lost] = older.runs;
    const newer = attach(executors, who, {
      ...POOL,
      slots: 2,
      heldRunIds: held ? [held.runId] : [],
    });
    await world.until(() => older.end() !== undefined && newer.runs.length === 1);
    expect(older.end()).toBe(true);
    expect(older.messages.at(-1)).toMatchObject({
      value: { control: { case: "closeStream", value: { reason: CloseStreamReason.REPLACED } } },
    });
    expect(newer.runs[0]).toEqual(lost);
    expect(a.controlPlane.dispatcher.stats()).toMatchObject({ sessions: 1, heldRuns: 2 });
  });

  it("leaves no trace when its connection breaks, and its leases live on", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensureWithWork(a, "r"));
    const who = identity("e");
    const worker = attach(executors, who, POOL);
    await world.until(() => worker.runs.length === 1);
    await world.pass(renew(executors, worker, worker.runs));
    worker.disconnect();
    await world.until(() => a.controlPlane.dispatcher.stats().sessions === 0);
    expect(await world.pass(stateOf(a, "r"))).toBe(RuntimeState.RUNNING);
    const back = attach(executors, who, POOL);
    await world.until(() => back.runs.length === 1);
    expect(back.runs).toEqual(worker.runs);
  });

  it("survives many attachments at once: the last one serves", async () => {
    const { world, a, executors } = await oneReplica();
    const who = identity("e");
    const streams = Array.from({ length: 10 }, () => attach(executors, who, POOL));
    await world.until(() => streams.filter((stream) => stream.end() === true).length === 9);
    expect(a.controlPlane.dispatcher.stats().sessions).toBe(1);
    await world.pass(ensureWithWork(a, "r"));
    await world.until(() => streams.some((stream) => stream.runs.length === 1));
    expect(streams.filter((stream) => stream.runs.length === 1)).toHaveLength(1);
  });

  it("ends with a farewell when the server drains", async () => {
    const { world, a, executors } = await oneReplica();
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.messages.length === 1);
    a.controlPlane.retreat();
    await world.until(() => worker.end() !== undefined);
    const reason = CloseStreamReason.SERVER_DRAINING;
    expect(worker.controls[0]?.control).toMatchObject({ case: "closeStream", value: { reason } });
    const late = attach(executors, identity("late"), POOL);
    await world.until(() => late.end() !== undefined);
    expect(late.end()).toMatchObject({ code: 14 });
  });

  it("ends when its executor does not acknowledge a run, which goes to another", async () => {
    const { world, a, executors } = await oneReplica();
    await world.elapse(11_000);
    await world.pass(ensureWithWork(a, "r"));
    const deaf = attach(executors, identity("deaf"), { ...POOL, slots: 5 });
    await world.until(() => deaf.runs.length === 1);
    const other = attach(executors, identity("other"), POOL);
    await world.until(() => other.runs.length === 1);
    expect(deaf.losses).toMatchObject([{ reason: LeaseLossReason.TAKEN_BACK }]);
    expect(deaf.controls[0]?.control).toMatchObject({
      case: "closeStream",
      value: { reason: CloseStreamReason.UNRESPONSIVE },
    });
    expect(deaf.end()).toBe(true);
    expect(other.runs[0]).toMatchObject({ attempt: 1, generation: 2n });
  });

  it("ends after Detach, with everything given back and nothing assigned again", async () => {
    const { world, a, executors } = await oneReplica();
    await world.pass(ensureWithWork(a, "r1", "r2"));
    const worker = attach(executors, identity("e"), { ...POOL, slots: 2 });
    await world.until(() => worker.runs.length === 2);
    await world.pass(renew(executors, worker, worker.runs));
    const { executorId, incarnationId } = worker;
    const { released } = await world.pass(executors.detach({ executorId, incarnationId }));
    expect(released.map(({ runtimeId }) => runtimeId).toSorted()).toEqual(["r1", "r2"]);
    await world.until(() => worker.end() !== undefined);
    await world.elapse(3000);
    expect(worker.runs).toHaveLength(2);
    expect(await world.pass(stateOf(a, "r1"))).toBe(RuntimeState.IDLE);
    const again = attach(executors, worker, POOL);
    await world.until(() => again.end() !== undefined);
    expect(again.end()).toMatchObject({ code: 9 });
    const other = attach(executors, identity("other"), { ...POOL, slots: 2 });
    await world.until(() => other.runs.length === 2);
    expect(other.runs.map((run) => run.attempt)).toEqual([1, 1]);
  });

  it("that is half open at one replica swallows no work of its executor at another", async () => {
    const { world, a } = await oneReplica();
    const b = await world.addReplica("b");
    await world.elapse(12_000);
    const who = identity("e");
    const halfOpen = attach(a.executors, who, POOL);
    await world.elapse(100);
    const alive = attach(b.executors, who, POOL);
    await world.elapse(100);
    await world.pass(ensureWithWork(a, "r1"));
    await world.until(() => alive.runs.length === 1);
    expect(halfOpen.end()).toBe(true);
    await world.pass(renew(b.executors, who, alive.runs));
    for (const run of alive.runs) await world.pass(complete(b.executors, run));
    const atMs = world.clock.monotonicMs();
    await world.pass(ensureWithWork(a, "r2"));
    await world.until(() => alive.runs.length === 2);
    expect(world.clock.monotonicMs() - atMs).toBeLessThan(200);
  });

  it("that cannot be opened because the database is away leaves nothing behind", async () => {
    const { world, a, executors } = await oneReplica();
    for (const lost of ["open", "heldBy"]) {
      world.loses = ({ method }) => method === lost;
      const worker = attach(executors, identity("e"), POOL);
      await world.until(() => worker.end() !== undefined);
      expect(worker.end()).toMatchObject({ code: Code.Unavailable });
    }
    world.loses = () => false;
    expect(a.controlPlane.dispatcher.stats().sessions).toBe(0);
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
  });

  it("gives a buried incarnation nothing after its replica was cut off for long", async () => {
    const { world, a } = await oneReplica();
    const b = await world.addReplica("b");
    await world.elapse(5000);
    const terms = { ...POOL, leaseTtl: { seconds: 2n } };
    const buried = attach(a.executors, identity("buried"), terms);
    await world.until(() => buried.messages.length === 1);
    world.loses = ({ connection }) => connection === "a";
    await world.elapse(120_000);
    world.loses = () => false;
    await world.pass(ensureWithWork(b, "r"));
    await world.elapse(3000);
    expect(buried.runs).toEqual([]);
    expect(buried.end()).toBe(true);
    const heir = attach(b.executors, identity("heir"), POOL);
    await world.until(() => heir.runs.length === 1);
    expect(heir.runs[0]?.generation).toBe(1n);
  });
});
