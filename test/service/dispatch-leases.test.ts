// Leases: what a lapse costs and whom it does not hit, acknowledgements, renewals, and what happens
// while the database, the control plane or a clock misbehaves.
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { LeaseLossReason } from "../../gen/keelson/executor/v1/messages_pb.ts";
import { InputState, RuntimeState } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  attach,
  type AttachedExecutor,
  complete,
  type ExecutorClient,
  identity,
  keepRenewing,
  renew,
} from "./support/attached-executor.ts";
import { makeWorld, type World } from "./support/dispatch-world.ts";
import { ensure, ensureWithWork, ingest, inputAt, stateOf } from "./support/replica-calls.ts";
import { wireErrorOf } from "./support/wire-error.ts";

const POOL = { pool: "default" };
const TTL_MS = 30_000;

/** A replica that has been up for long enough that leases expire and timers count. */
async function steadyReplica() {
  const world = makeWorld();
  const a = await world.addReplica("a");
  await world.elapse(TTL_MS + 2000);
  return { world, a, executors: a.executors, runtimes: a.runtimes };
}

function renewing(world: World, client: ExecutorClient, worker: AttachedExecutor) {
  return keepRenewing(world.clock, TTL_MS / 3, () => renew(client, worker, worker.runs));
}

describe("a lease that is not renewed", () => {
  it("lapses: the run goes to another executor, counted because it was acknowledged", async () => {
    const { world, a, executors } = await steadyReplica();
    await world.pass(ensure(a, "r"));
    const inputId = await world.pass(ingest(a, "r"));
    const dead = attach(executors, identity("dead"), POOL);
    await world.until(() => dead.runs.length === 1);
    await world.pass(renew(executors, dead, dead.runs));
    const heir = attach(executors, identity("heir"), POOL);
    renewing(world, executors, heir);
    await world.until(() => heir.runs.length === 1);
    expect(heir.runs[0]).toMatchObject({ attempt: 2, generation: 2n });
    expect(await world.pass(inputAt(a, "r", inputId))).toEqual({
      state: InputState.STAGED,
      attempts: 1,
    });
    expect(dead.losses).toMatchObject([{ reason: LeaseLossReason.LAPSED, generation: 1n }]);
    await world.until(() => dead.end() === true);
  });

  it("lapses uncounted when the run was never acknowledged", async () => {
    const { world, a, executors } = await steadyReplica();
    const terms = { ...POOL, leaseTtl: { seconds: 2n } };
    const dead = attach(executors, identity("dead"), terms);
    await world.elapse(100);
    await world.pass(ensureWithWork(a, "r"));
    await world.until(() => dead.runs.length === 1);
    const heir = attach(executors, identity("heir"), POOL);
    renewing(world, executors, heir);
    await world.until(() => heir.runs.length === 1);
    expect(heir.runs[0]).toMatchObject({ attempt: 1, generation: 2n });
    expect(dead.losses).toMatchObject([{ reason: LeaseLossReason.LAPSED }]);
  });

  it("ends the incarnation for good, on every call", async () => {
    const { world, a, executors } = await steadyReplica();
    await world.pass(ensure(a, "r"));
    const dead = attach(executors, identity("dead"), { runtimeIds: ["r"] });
    await world.until(() => dead.grants.length === 1);
    await world.until(() => dead.end() === true);
    expect(await world.pass(stateOf(a, "r"))).toBe(RuntimeState.IDLE);
    const gone = { code: Code.FailedPrecondition, reason: "EXECUTOR_INCARNATION_DEAD" };
    expect(await world.pass(wireErrorOf(renew(executors, dead)))).toMatchObject(gone);
    const { executorId, incarnationId } = dead;
    const polled = executors.pollRun({ executorId, incarnationId, ...POOL });
    expect(await world.pass(wireErrorOf(polled))).toMatchObject(gone);
    const again = attach(executors, dead, POOL);
    await world.until(() => again.end() !== undefined);
    expect(again.end()).toMatchObject({ code: Code.FailedPrecondition });
    const next = attach(executors, identity("dead"), { runtimeIds: ["r"] });
    await world.until(() => next.grants.length === 1);
    expect(next.grants[0]?.generation).toBe(2n);
  });
});

describe("a healthy executor", () => {
  it("is told how long its leases live, less as time goes by", async () => {
    const { world, executors } = await steadyReplica();
    const worker = attach(executors, identity("e"), POOL);
    await world.elapse(10_100);
    const beats = worker.messages.flatMap((message) => {
      return message.case === "heartbeat" ? [message.value] : [];
    });
    expect(beats.map((beat) => beat.remaining?.seconds)).toEqual([30n, 20n]);
    const { remaining } = await world.pass(renew(executors, worker));
    expect(remaining?.seconds).toBe(30n);
  });

  it("keeps its run through an outage of the database that outlasts its lease", async () => {
    const { world, a, executors } = await steadyReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    const renewals = renewing(world, executors, worker);
    await world.elapse(1000);
    world.loses = () => true;
    await world.elapse(2 * TTL_MS);
    world.loses = () => false;
    await world.elapse(2 * TTL_MS);
    expect(renewals.errors.length).toBeGreaterThan(0);
    expect(renewals.errors.every((error) => error.code === Code.Unavailable)).toBe(true);
    expect(worker.losses).toHaveLength(0);
    const [run] = worker.runs;
    if (!run) throw new Error("no run");
    expect(run.attempt).toBe(1);
    await world.pass(complete(executors, run));
  });

  it("keeps a run that it could not acknowledge because the database was away", async () => {
    const { world, a, executors } = await steadyReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    world.loses = () => true;
    await world.elapse(20_000);
    world.loses = () => false;
    await world.elapse(5000);
    await world.pass(renew(executors, worker, worker.runs));
    await world.elapse(15_000);
    expect(worker.losses).toHaveLength(0);
    if (worker.runs[0]) await world.pass(complete(executors, worker.runs[0]));
  });

  it.each([60_000, -60_000, 3_600_000])(
    "keeps its run when the clock of the database steps by %i ms",
    async (stepMs) => {
      const { world, a, executors } = await steadyReplica();
      await world.pass(ensureWithWork(a, "r"));
      const worker = attach(executors, identity("e"), POOL);
      await world.until(() => worker.runs.length === 1);
      world.databaseClock.stepWall(stepMs);
      await world.elapse(500);
      renewing(world, executors, worker);
      await world.elapse(2 * TTL_MS);
      expect(worker.losses).toHaveLength(0);
      if (worker.runs[0]) await world.pass(complete(executors, worker.runs[0]));
    },
  );

  it("keeps its run when the control plane stands still for a minute", async () => {
    const { world, a, executors } = await steadyReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    await world.pass(renew(executors, worker, worker.runs));
    world.clock.advance(60_000);
    renewing(world, executors, worker);
    await world.elapse(2 * TTL_MS);
    expect(worker.losses).toHaveLength(0);
    if (worker.runs[0]) await world.pass(complete(executors, worker.runs[0]));
  });

  it("keeps its run when the control plane dies and another one starts late", async () => {
    const { world, a } = await steadyReplica();
    await world.pass(ensureWithWork(a, "r"));
    const who = identity("e");
    const before = attach(a.executors, who, POOL);
    await world.until(() => before.runs.length === 1);
    await world.pass(renew(a.executors, before, before.runs));
    world.loses = ({ connection }) => connection === "a";
    before.disconnect();
    await world.elapse(2 * TTL_MS);
    const b = await world.addReplica("b");
    const heldRunIds = before.runs.map((run) => run.runId);
    const after = attach(b.executors, who, { ...POOL, heldRunIds });
    const renewals = keepRenewing(world.clock, TTL_MS / 3, () =>
      renew(b.executors, who, before.runs),
    );
    await world.elapse(2 * TTL_MS);
    expect(renewals.errors).toEqual([]);
    expect(after.losses).toHaveLength(0);
    expect(after.runs).toHaveLength(0);
    if (before.runs[0]) await world.pass(complete(b.executors, before.runs[0]));
  });
});

describe("a run that is not acknowledged", () => {
  it("is taken back after ten seconds, uncounted", async () => {
    const { world, a, executors } = await steadyReplica();
    await world.pass(ensure(a, "r"));
    const inputId = await world.pass(ingest(a, "r"));
    const silent = attach(executors, identity("silent"), POOL);
    await world.until(() => silent.runs.length === 1);
    const atMs = world.clock.monotonicMs();
    await world.until(() => silent.losses.length === 1);
    const afterMs = world.clock.monotonicMs() - atMs;
    expect(afterMs).toBeGreaterThanOrEqual(10_000);
    expect(afterMs).toBeLessThan(13_000);
    expect(silent.losses).toMatchObject([{ reason: LeaseLossReason.TAKEN_BACK, generation: 1n }]);
    expect(await world.pass(inputAt(a, "r", inputId))).toEqual({
      state: InputState.QUEUED,
      attempts: 0,
    });
  });

  it("is taken back by another replica when the one that assigned it is gone", async () => {
    const { world, a } = await steadyReplica();
    const b = await world.addReplica("b");
    await world.elapse(TTL_MS);
    await world.pass(ensureWithWork(a, "r"));
    const silent = attach(a.executors, identity("silent"), POOL);
    await world.until(() => silent.runs.length === 1);
    await world.elapse(1000);
    world.loses = ({ connection }) => connection === "a";
    const heir = attach(b.executors, identity("heir"), POOL);
    await world.until(() => heir.runs.length === 1);
    expect(heir.runs[0]).toMatchObject({ attempt: 1, generation: 2n });
  });
});

describe("RenewLeases", () => {
  it("names the runs that are not the incarnation's, and how they were lost", async () => {
    const { world, a, executors, runtimes } = await steadyReplica();
    await world.pass(ensureWithWork(a, "r"));
    const worker = attach(executors, identity("e"), POOL);
    await world.until(() => worker.runs.length === 1);
    const [run] = worker.runs;
    if (!run) throw new Error("no run");
    const { executorId, incarnationId } = worker;
    const heldRunIds = [run.runId, "11111111-1111-7111-8111-111111111111"];
    const first = executors.renewLeases({ executorId, incarnationId, heldRunIds });
    const answer = await world.pass(first);
    expect(answer.unknownRunIds).toEqual(heldRunIds.slice(1));
    expect(answer.lost).toHaveLength(0);
    await world.pass(runtimes.recover({ runtimeId: "r", fenceExecutor: true }));
    const second = executors.renewLeases({ executorId, incarnationId, heldRunIds });
    const after = await world.pass(second);
    expect(after.unknownRunIds).toEqual(heldRunIds);
    expect(after.lost).toMatchObject([{ runId: run.runId, reason: LeaseLossReason.FENCED }]);
  });

  it("refuses an incarnation that never attached", async () => {
    const { world, executors } = await steadyReplica();
    const error = await world.pass(wireErrorOf(renew(executors, identity("stranger"))));
    expect(error).toMatchObject({ code: Code.NotFound, reason: "EXECUTOR_NOT_FOUND" });
  });

  it("does not disown a run that another replica has just assigned", async () => {
    const { world, a } = await steadyReplica();
    const b = await world.addReplica("b");
    await world.elapse(3000);
    const worker = attach(a.executors, identity("e"), POOL);
    await world.elapse(100);
    // The rows of the first replica stay away from the views.
    world.loses = ({ connection, port, method }) =>
      connection === "a" && port === "views" && method === "upsert";
    await world.pass(ensureWithWork(a, "r"));
    await world.until(() => worker.runs.length === 1);
    for (let count = 0; count < 5; count += 1) {
      const { unknownRunIds } = await world.pass(renew(b.executors, worker, worker.runs));
      expect(unknownRunIds).toEqual([]);
      await world.elapse(1000);
    }
    world.loses = () => false;
    await world.elapse(2000);
    await world.pass(renew(b.executors, worker, worker.runs));
    const { runtime } = await world.pass(b.runtimes.getRuntime({ runtimeId: "r" }));
    expect(runtime?.currentRun?.acknowledged).toBe(true);
  });
});
