// What becomes of runs when executors are killed and paused.
import { expect, test } from "vitest";
import { entriesOf } from "./support/history.ts";
import { onCluster, SMALL_POOL, type SmallScene } from "./support/small-scene.ts";
import { eventually, pauseFor } from "./support/waiting.ts";

const LEASE_TTL_MS = 1_500;
const ALONE = { replicas: ["alone"] };
const POOLED = { pool: SMALL_POOL, leaseTtlMs: LEASE_TTL_MS };
const NEVER_MS = 600_000;

async function untilRunning({ read }: SmallScene, isAcknowledged: boolean): Promise<void> {
  await eventually("a run is in flight", 20_000, async () => {
    const { currentRun } = await read("desk");
    return currentRun !== undefined && currentRun.acknowledged === isAcknowledged;
  });
}

test("a run whose executor is killed after acknowledging comes back counted", async () => {
  await onCluster(ALONE, async (scene) => {
    const { cluster, ensure, send, untilConsumed, judge } = scene;
    await ensure("desk");
    const victim = cluster.startExecutor({ executorId: "victim", ...POOLED, waitMs: NEVER_MS });
    await send("desk", "long", "wait");
    await untilRunning(scene, true);
    await victim.kill();
    cluster.startExecutor({ executorId: "heir", ...POOLED, waitMs: 0 });
    await untilConsumed("desk", 1);
    const { violations, runtimes } = await judge("desk");
    expect(violations).toEqual([]);
    expect(runtimes[0]?.inputs[0]?.attemptCount).toBe(2);
    expect(runtimes[0]?.events.map((event) => event.eventCode)).toContain("run.failed");
  });
});

test("a run whose executor is killed before acknowledging comes back uncounted", async () => {
  await onCluster(ALONE, async (scene) => {
    const { cluster, ensure, send, untilConsumed, judge } = scene;
    await ensure("desk");
    const victim = cluster.startExecutor({ executorId: "victim", ...POOLED, works: false });
    await send("desk", "long", "wait");
    await untilRunning(scene, false);
    await victim.kill();
    cluster.startExecutor({ executorId: "heir", ...POOLED, waitMs: 0 });
    await untilConsumed("desk", 1);
    const { violations, runtimes } = await judge("desk");
    expect(violations).toEqual([]);
    expect(runtimes[0]?.inputs[0]?.attemptCount).toBe(1);
    expect(runtimes[0]?.events.map((event) => event.eventCode)).toContain("run.returned");
  });
});

test("an executor that wakes up after its lease cannot change anything any more", async () => {
  await onCluster(ALONE, async (scene) => {
    const { cluster, ensure, send, untilConsumed, judge } = scene;
    await ensure("desk");
    const sleeper = cluster.startExecutor({ executorId: "sleeper", ...POOLED, waitMs: 800 });
    await send("desk", "long", "wait");
    await untilRunning(scene, true);
    sleeper.pause();
    const heir = cluster.startExecutor({ executorId: "heir", ...POOLED, waitMs: 0 });
    await untilConsumed("desk", 1);
    sleeper.resume();
    await heir.kill();
    // Only the sleeper is left to do this one, under a new incarnation.
    await send("desk", "after");
    await untilConsumed("desk", 2);
    const { violations } = await judge("desk");
    expect(violations).toEqual([]);
    expect(
      entriesOf(sleeper.history(), "boundary").filter((told) => told.generation === 1),
    ).toEqual([]);
    expect(sleeper.hasFailed()).toBe(false);
  });
});

test("runs of killed executors are given up at the limit of attempts and not before", async () => {
  await onCluster(ALONE, async (scene) => {
    const { cluster, ensure, send, judge, read } = scene;
    await ensure("desk");
    await send("desk", "fatal-to-all", "wait");
    const victim = cluster.startExecutor({ executorId: "victim", ...POOLED, waitMs: NEVER_MS });
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      await untilRunning(scene, true);
      expect((await read("desk")).currentRun?.attempt).toBe(attempt);
      await victim.kill();
      await eventually("the run is lost", 20_000, async () => {
        return (await read("desk")).currentRun === undefined;
      });
      victim.start();
    }
    await pauseFor(LEASE_TTL_MS);
    const { violations, runtimes } = await judge("desk");
    expect(violations).toEqual([]);
    expect(runtimes[0]?.inputs[0]).toMatchObject({
      state: "abandoned",
      abandonReason: "ABANDON_REASON_MAX_ATTEMPTS_EXHAUSTED",
      attemptCount: 3,
    });
  });
});
