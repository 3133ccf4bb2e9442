// What an explanation knows of executors: those of every replica, as long as their leases live.
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { RuntimeCauseKind } from "../../gen/keelson/runtime/v1/service_pb.ts";
import { HEARTBEAT_MS } from "../../src/engine/membership.ts";
import { attach, identity, runtimesOf } from "./support/attached-executor.ts";
import { makeWorld, type Replica } from "./support/dispatch-world.ts";
import { ensure, ensureWithWork } from "./support/replica-calls.ts";

const TTL_MS = 30_000;
const { NO_EXECUTOR, NOTHING_QUEUED, EXECUTORS_BUSY } = RuntimeCauseKind;

async function kindsOf({ runtimes }: Replica, runtimeId: string) {
  const { causes } = await runtimes.explainRuntime({ runtimeId });
  return causes.map(({ kind }) => kind);
}

describe("an explanation", () => {
  it("knows an executor that is attached to another replica, until its lease is over", async () => {
    const world = makeWorld();
    const a = await world.addReplica("a");
    const b = await world.addReplica("b");
    await world.elapse(TTL_MS + 2000);
    await world.pass(ensure(b, "r"));
    expect(await world.pass(kindsOf(b, "r"))).toEqual([NOTHING_QUEUED, NO_EXECUTOR]);
    const worker = attach(a.executors, identity("worker"), { pool: "default" });
    await world.elapse(100);
    expect(await world.pass(kindsOf(b, "r"))).toEqual([NOTHING_QUEUED]);
    await world.pass(ensure(b, "other"));
    await world.pass(b.runtimes.ensureRuntime({ runtimeId: "other", config: { pool: "gpu" } }));
    expect(await world.pass(kindsOf(b, "other"))).toEqual([NOTHING_QUEUED, NO_EXECUTOR]);
    worker.disconnect();
    await world.elapse(TTL_MS + 5000);
    expect(await world.pass(kindsOf(b, "r"))).toEqual([NOTHING_QUEUED, NO_EXECUTOR]);
  });

  it("says since when a pool has nobody, whichever replica they were attached to", async () => {
    const world = makeWorld();
    const a = await world.addReplica("a");
    const b = await world.addReplica("b");
    await world.pass(ensure(b, "r"));
    const worker = attach(a.executors, identity("worker"), { pool: "default" });
    await world.until(() => worker.messages.length > 0);
    await world.elapse(5000);
    await world.pass(a.executors.detach(worker));
    const leftAt = world.clock.nowMs();
    await world.elapse(5000);
    const { causes } = await world.pass(b.runtimes.explainRuntime({ runtimeId: "r" }));
    const [, nobody] = causes;
    expect(nobody?.kind).toBe(NO_EXECUTOR);
    expect(nobody?.since && timestampMs(nobody.since)).toBe(leftAt);
    expect(nobody?.elapsed && durationMs(nobody.elapsed)).toBe(5000);
  });

  it("says that executors attached to another replica take no more, until one does", async () => {
    const world = makeWorld();
    const a = await world.addReplica("a");
    const b = await world.addReplica("b");
    const worker = attach(a.executors, identity("worker"), { pool: "default", slots: 1 });
    await world.elapse(100);
    await world.pass(ensureWithWork(a, "first"));
    await world.until(() => worker.runs.length === 1);
    await world.pass(ensureWithWork(b, "second"));
    // Each replica has said at a heartbeat what its executors could take, and the other read it.
    await world.elapse(2 * HEARTBEAT_MS);
    const { causes } = await world.pass(b.runtimes.explainRuntime({ runtimeId: "second" }));
    expect(causes).toMatchObject([{ kind: EXECUTORS_BUSY, pool: "default", count: 1 }]);
    const idle = attach(a.executors, identity("idle"), { pool: "gpu" });
    await world.elapse(2 * HEARTBEAT_MS);
    expect(await world.pass(kindsOf(b, "second"))).toEqual([EXECUTORS_BUSY]);
    idle.disconnect();
    const third = attach(b.executors, identity("third"), { pool: "default", slots: 1 });
    await world.until(() => third.runs.length === 1);
    expect(runtimesOf(third)).toEqual(["second"]);
  });

  it("says that the executors of the pool take no more", async () => {
    const world = makeWorld();
    const a = await world.addReplica("a");
    const worker = attach(a.executors, identity("worker"), { pool: "default", slots: 1 });
    await world.elapse(100);
    await world.pass(ensureWithWork(a, "first"));
    await world.until(() => worker.runs.length === 1);
    await world.pass(ensureWithWork(a, "second"));
    const { causes } = await world.pass(a.runtimes.explainRuntime({ runtimeId: "second" }));
    expect(causes).toMatchObject([{ kind: EXECUTORS_BUSY, pool: "default", count: 1 }]);
  });
});
