// Time that moves only when the test says so. Timers fire in order of their due time; the wall
// clock can be stepped on its own, as an operator or a bad time server would.
import type { Clock } from "../../../src/engine/ports.ts";

/** A clock with a hand on it. */
export interface ManualClock extends Clock {
  /** Lets time pass, firing the timers that fall due on the way, each at its own time. */
  readonly advance: (durationMs: number) => void;
  /** Lets time pass up to the next timer, at most `limitMs`; answers how far it went. */
  readonly advanceToNext: (limitMs: number) => number;
  /** Steps the wall clock without any time passing. */
  readonly stepWall: (stepMs: number) => void;
}

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** A clock that stands still at `wallMs`. */
export function makeManualClock(wallMs = 1_700_000_000_000): ManualClock {
  let elapsedMs = 0;
  let offsetMs = wallMs;
  /** Ascending by due time; equal ones in the order in which they were set. */
  const timers: Timer[] = [];

  function after(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: elapsedMs + Math.max(0, delayMs), callback };
    const index = timers.findLastIndex((other) => other.dueMs <= timer.dueMs) + 1;
    timers.splice(index, 0, timer);
    return () => {
      const place = timers.indexOf(timer);
      if (place >= 0) timers.splice(place, 1);
    };
  }

  function advance(durationMs: number): void {
    const untilMs = elapsedMs + durationMs;
    for (;;) {
      const [next] = timers;
      if (next === undefined || next.dueMs > untilMs) break;
      timers.shift();
      elapsedMs = Math.max(elapsedMs, next.dueMs);
      next.callback();
    }
    elapsedMs = untilMs;
  }

  return {
    nowMs: () => Math.floor(offsetMs + elapsedMs),
    monotonicMs: () => elapsedMs,
    after,
    advance,
    advanceToNext: (limitMs) => {
      const nextMs = (timers[0]?.dueMs ?? Number.POSITIVE_INFINITY) - elapsedMs;
      const durationMs = Math.min(limitMs, Math.max(0, nextMs));
      advance(durationMs);
      return durationMs;
    },
    stepWall: (stepMs) => {
      offsetMs += stepMs;
    },
  };
}
