// Timers of streams, with a clock that the case moves; see src/dispatch/due-timers.ts.
import { expect, it } from "vitest";
import { makeManualClock } from "../property/support/manual-clock.ts";
import { passUntil, settle } from "../property/support/wait.ts";
import { type StreamName, streamNameOf } from "../../src/core/shared/ids.ts";
import { silentObserver } from "../../src/engine/observer.ts";
import type { StreamRow } from "../../src/engine/ports.ts";
import { makeMemoryStorage } from "../../src/storage/memory/database.ts";
import { makeDueTimers } from "../../src/dispatch/due-timers.ts";

const stream = streamNameOf("runtime/default/r");

function rowDueAt(dueAt: number): StreamRow {
  return {
    stream,
    kind: "runtime",
    namespace: "default",
    id: "r",
    revision: 1,
    at: 0,
    state: "running",
    labels: {},
    gone: false,
    factsText: "{}",
    dueAt,
  };
}

function timersAt(steady: { ms: number }) {
  const clock = makeManualClock();
  const { views } = makeMemoryStorage({ clock });
  const ticks: { readonly stream: StreamName; readonly isFromView: boolean }[] = [];
  const tick = async (due: StreamName, row?: StreamRow): Promise<void> => {
    ticks.push({ stream: due, isFromView: row !== undefined });
  };
  const timers = makeDueTimers({
    views,
    clock,
    time: { nowMs: clock.nowMs },
    observer: silentObserver,
    steadyForMs: () => steady.ms,
    kinds: new Map([
      ["runtime", { graceMs: 10_000, tick }],
      ["other", { graceMs: 0, tick }],
    ]),
  });
  timers.start();
  const elapse = async (durationMs: number): Promise<void> => {
    const endMs = clock.monotonicMs() + durationMs;
    await passUntil(clock, () => clock.monotonicMs() >= endMs);
  };
  return { clock, views, timers, ticks, elapse };
}

it("a stream seen here is ticked when it is due, once", async () => {
  const { clock, timers, ticks, elapse } = timersAt({ ms: 60_000 });
  timers.set(stream, clock.nowMs() + 5000);
  await elapse(4500);
  expect(ticks).toEqual([]);
  await elapse(6000);
  expect(ticks).toEqual([{ stream, isFromView: false }]);
});

it("a timer that was taken back does not fire", async () => {
  const { clock, timers, ticks, elapse } = timersAt({ ms: 60_000 });
  timers.set(stream, clock.nowMs() + 1000);
  timers.set(stream, undefined);
  await elapse(5000);
  expect(ticks).toEqual([]);
});

it("a stream of another replica is ticked two seconds late, until its row changes", async () => {
  const { clock, views, ticks, elapse } = timersAt({ ms: 60_000 });
  await views.upsert([rowDueAt(clock.nowMs())]);
  await elapse(1900);
  expect(ticks).toEqual([]);
  await elapse(3000);
  expect(ticks.length).toBeGreaterThan(1);
  expect(ticks[0]).toEqual({ stream, isFromView: true });
});

it("nothing is ticked before everything was steady for long enough, and all then", async () => {
  const steady = { ms: 0 };
  const { clock, timers, ticks, elapse } = timersAt(steady);
  timers.set(stream, clock.nowMs() + 1000);
  await elapse(30_000);
  expect(ticks).toEqual([]);
  steady.ms = 10_000;
  await elapse(1100);
  expect(ticks).toHaveLength(1);
});

it("a kind without a grace is ticked however unsteady everything is", async () => {
  const { clock, timers, ticks, elapse } = timersAt({ ms: 0 });
  const patient = streamNameOf("other/default/o");
  timers.set(patient, clock.nowMs() + 1000);
  timers.set(streamNameOf("unknown/default/u"), clock.nowMs() + 1000);
  timers.set(stream, clock.nowMs() + 1000);
  await elapse(5000);
  expect(ticks).toEqual([{ stream: patient, isFromView: false }]);
});

it("nothing is ticked after the stop", async () => {
  const { clock, timers, ticks, elapse } = timersAt({ ms: 60_000 });
  timers.set(stream, clock.nowMs() + 1000);
  timers.stop();
  await settle();
  await elapse(5000);
  expect(ticks).toEqual([]);
});
