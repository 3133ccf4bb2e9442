import { expect, test } from "vitest";
import { streamNameOf, type TimeMs } from "../core/shared/ids.ts";
import { makeJournalTail } from "./journal-tail.ts";
import type { TimedPoint } from "./ports.ts";

/** A journal that grows at the case's wish, a watermark and a clock that the case moves. */
function makeGround() {
  const points: TimedPoint[] = [];
  let watermark: TimeMs = 0;
  /** Of the live replicas, where one that is dead holds the other one up. */
  let liveWatermark: TimeMs = 0;
  let look: (() => void) | undefined;
  let reads = 0;
  const told: string[] = [];
  const bounds: TimeMs[] = [];
  const tail = makeJournalTail({
    journal: {
      pointsSince: async (since, limit, after) => {
        reads += 1;
        const sorted = points.toSorted((left, right) => left.at - right.at);
        const start = after === undefined ? 0 : sorted.indexOf(after) + 1;
        return sorted
          .slice(start)
          .filter((point) => point.at >= since)
          .slice(0, limit);
      },
    },
    clock: {
      after: (_delayMs, callback) => {
        look = callback;
        return () => undefined;
      },
    },
    membership: {
      lowWatermark: () => watermark,
      liveWatermark: () => Math.max(watermark, liveWatermark),
    },
    observer: { backgroundFailed: () => undefined },
  });
  /** One look, to its end. */
  async function pass(): Promise<void> {
    const now = look;
    look = undefined;
    now?.();
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  }
  return {
    listen: () =>
      tail.listen({
        met: (met) => told.push(...met.map((point) => `${point.stream}@${point.revision}`)),
        completed: (until) => bounds.push(until),
      }),
    land: (name: string, revision: number, at: TimeMs) => {
      points.push({ stream: streamNameOf(name), revision, at });
    },
    moveWatermark: (at: TimeMs) => {
      watermark = at;
    },
    moveLiveWatermark: (at: TimeMs) => {
      liveWatermark = at;
    },
    pass,
    told,
    bounds,
    reads: () => reads,
    isScheduled: () => look !== undefined,
  };
}

test("a commit is told when it lands, and again behind the watermark", async () => {
  const ground = makeGround();
  ground.moveWatermark(10);
  const { from } = await ground.listen();
  expect(from).toBe(10);
  ground.land("a", 1, 20);
  await ground.pass();
  expect(ground.told).toEqual(["a@1"]);
  await ground.pass();
  expect(ground.told).toEqual(["a@1"]);
  ground.moveWatermark(21);
  await ground.pass();
  expect(ground.told).toEqual(["a@1", "a@1"]);
  expect(ground.bounds).toEqual([21]);
});

test("a commit behind younger ones is told before its time is called complete", async () => {
  const ground = makeGround();
  ground.moveWatermark(10);
  await ground.listen();
  ground.land("young", 1, 30);
  await ground.pass();
  ground.land("late", 1, 20);
  await ground.pass();
  expect(ground.told).toEqual(["young@1"]);
  ground.moveWatermark(25);
  await ground.pass();
  expect(ground.told).toEqual(["young@1", "late@1"]);
  expect(ground.bounds).toEqual([25]);
});

test("a dead replica holds up what is complete, and nothing that others commit", async () => {
  const ground = makeGround();
  ground.moveWatermark(10);
  ground.moveLiveWatermark(20);
  const { from } = await ground.listen();
  expect(from).toBe(10);
  ground.land("young", 1, 30);
  await ground.pass();
  ground.land("late", 1, 25);
  await ground.pass();
  expect(ground.told).toEqual(["young@1"]);
  ground.moveLiveWatermark(28);
  await ground.pass();
  expect(ground.told).toEqual(["young@1", "late@1"]);
  expect(ground.bounds).toEqual([]);
});

test("what a dead replica landed after all is told before its time is complete", async () => {
  const ground = makeGround();
  ground.moveWatermark(10);
  ground.moveLiveWatermark(20);
  await ground.listen();
  ground.land("forgotten", 1, 15);
  await ground.pass();
  expect(ground.told).toEqual([]);
  ground.moveWatermark(30);
  await ground.pass();
  expect(ground.told).toEqual(["forgotten@1"]);
  expect(ground.bounds).toEqual([30]);
});

test("nothing is read while nobody listens", async () => {
  const ground = makeGround();
  expect(ground.isScheduled()).toBe(false);
  const hearing = await ground.listen();
  await ground.pass();
  hearing.stop();
  await ground.pass();
  const reads = ground.reads();
  expect(ground.isScheduled()).toBe(false);
  await ground.pass();
  expect(ground.reads()).toBe(reads);
});
