// Waiting in tests that own their clock: time is pushed on until something has happened.
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ManualClock } from "./manual-clock.ts";

const TURNS_MAX = 20_000;
const STEP_MS = 50;

/** Lets everything run that needs no time to pass. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await nextTurn();
}

/** Lets time pass until the promise has an outcome, and answers it. */
export async function pass<Result>(clock: ManualClock, promise: Promise<Result>): Promise<Result> {
  const seen = { isSettled: false };
  const note = (): void => {
    seen.isSettled = true;
  };
  promise.then(note, note);
  await passUntil(clock, () => seen.isSettled);
  return await promise;
}

/** Lets time pass until the condition holds. */
export async function passUntil(clock: ManualClock, condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < TURNS_MAX; turn += 1) {
    if (condition()) return;
    await settle(4);
    if (condition()) return;
    clock.advanceToNext(STEP_MS);
  }
  throw new Error("the condition did not come true, however much time passed");
}
