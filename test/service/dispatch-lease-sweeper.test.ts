// The end of leases, with a clock that the case moves; see src/dispatch/lease-sweeper.ts.
import { expect, it } from "vitest";
import { makeManualClock } from "../property/support/manual-clock.ts";
import { passUntil } from "../property/support/wait.ts";
import { streamNameOf } from "../../src/core/shared/ids.ts";
import { silentObserver } from "../../src/engine/observer.ts";
import type { StreamRow } from "../../src/engine/ports.ts";
import { makeMemoryStorage } from "../../src/storage/memory/database.ts";
import { makeLeaseSweeper } from "../../src/dispatch/lease-sweeper.ts";

const TTL_MS = 30_000;
const holder = "default/e/i";

function rowHeldBy(id: string, namespace: string, revision: number, viewHolder?: string) {
  const row: StreamRow = {
    stream: streamNameOf(`runtime/${namespace}/${id}`),
    kind: "runtime",
    namespace,
    id,
    revision,
    at: 0,
    state: "running",
    labels: {},
    gone: false,
    factsText: "{}",
    ...(viewHolder === undefined ? {} : { holder: viewHolder }),
  };
  return row;
}

function sweeping() {
  const clock = makeManualClock();
  const storage = makeMemoryStorage({ clock });
  const { leases, views } = storage;
  const steady = { ms: 120_000 };
  const ended: string[] = [];
  const lapsed: string[] = [];
  const broken = new Set<string>();
  let stepMs = 0;
  const sweeper = makeLeaseSweeper({
    leases,
    views,
    clock,
    observer: silentObserver,
    databaseTime: storage.databaseTime,
    nowMs: () => clock.nowMs() - stepMs,
    steadyForMs: () => steady.ms,
    onLapsed: (over) => ended.push(over),
    lapse: async (over, row) => {
      if (broken.has(row.id)) throw new Error("this stream is broken");
      lapsed.push(`${over} ${row.id}`);
      await views.upsert([rowHeldBy(row.id, row.namespace, row.revision + 1)]);
    },
  });
  const elapse = async (durationMs: number): Promise<void> => {
    const endMs = clock.monotonicMs() + durationMs;
    await passUntil(clock, () => clock.monotonicMs() >= endMs);
  };
  const step = (byMs: number): void => {
    clock.stepWall(byMs);
    stepMs += byMs;
  };
  return { clock, leases, views, steady, ended, lapsed, broken, sweeper, elapse, step };
}

it("a register that is not renewed lapses, and each of its streams is told once", async () => {
  const { leases, views, ended, lapsed, sweeper, elapse } = sweeping();
  await leases.open(holder, TTL_MS);
  await views.upsert([rowHeldBy("r1", "default", 1, "e/i"), rowHeldBy("r2", "default", 1, "e/i")]);
  // The same executor id in another namespace is somebody else.
  await views.upsert([rowHeldBy("r3", "other", 1, "e/i")]);
  sweeper.start();
  await elapse(TTL_MS - 100);
  expect(ended).toEqual([]);
  await elapse(3000);
  expect(new Set(ended)).toEqual(new Set([holder]));
  expect(lapsed.toSorted()).toEqual([`${holder} r1`, `${holder} r2`]);
  expect((await leases.get(holder))?.state).toBe("lapsed");
});

it("a renewed register lives", async () => {
  const { leases, ended, sweeper, elapse } = sweeping();
  await leases.open(holder, TTL_MS);
  sweeper.start();
  for (let count = 0; count < 6; count += 1) {
    await elapse(TTL_MS / 3);
    await leases.renew([holder]);
  }
  expect(ended).toEqual([]);
});

it("nothing lapses before everything was steady for as long as the register lives", async () => {
  const { leases, steady, ended, sweeper, elapse } = sweeping();
  await leases.open(holder, TTL_MS);
  steady.ms = TTL_MS - 1;
  sweeper.start();
  await elapse(3 * TTL_MS);
  expect(ended).toEqual([]);
  steady.ms = TTL_MS;
  await elapse(1100);
  expect(ended).toContain(holder);
});

it("nobody is overdue by a clock that was set", async () => {
  const { leases, ended, sweeper, elapse, step } = sweeping();
  await leases.open(holder, TTL_MS);
  sweeper.start();
  step(3_600_000);
  await elapse(2000);
  expect(ended).toEqual([]);
});

it("a stream that cannot be told keeps no other from being told", async () => {
  const { leases, views, lapsed, broken, sweeper, elapse } = sweeping();
  await leases.open("default/bad/i", TTL_MS);
  await leases.open(holder, TTL_MS);
  await views.upsert([
    rowHeldBy("broken", "default", 1, "bad/i"),
    rowHeldBy("r1", "default", 1, "bad/i"),
    rowHeldBy("r2", "default", 1, "e/i"),
  ]);
  broken.add("broken");
  sweeper.start();
  await elapse(TTL_MS + 2000);
  expect(lapsed.toSorted()).toEqual(["default/bad/i r1", `${holder} r2`]);
});

it("a stream that shows up late is told, too, for a minute", async () => {
  const { leases, views, lapsed, sweeper, elapse } = sweeping();
  await leases.open(holder, TTL_MS);
  await leases.close(holder);
  sweeper.start();
  await elapse(20_000);
  await views.upsert([rowHeldBy("late", "default", 1, "e/i")]);
  await elapse(6000);
  expect(lapsed).toEqual([`${holder} late`]);
  expect(await leases.unsettled(10)).toHaveLength(1);
  await elapse(2 * 60_000);
  expect(await leases.unsettled(10)).toHaveLength(0);
});

it("hundreds of registers that lapse together are all served at once", async () => {
  const { leases, views, lapsed, sweeper, elapse } = sweeping();
  const names = Array.from({ length: 500 }, (_, index) => `e${index}`);
  for (const name of names) await leases.open(`default/${name}/i`, TTL_MS);
  await views.upsert(names.map((name) => rowHeldBy(name, "default", 1, `${name}/i`)));
  sweeper.start();
  await elapse(TTL_MS + 2000);
  expect(lapsed).toHaveLength(500);
});
