/** The clock and the randomness of a real process. */
import { v7 } from "uuid";
import type { Clock, Entropy } from "../engine/ports.ts";

/** The clocks and timers of the machine. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** The randomness of the process. */
export const systemEntropy: Entropy = {
  freshId: () => v7(),
  random: () => Math.random(),
};
