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

const RANDOM_BYTES = 16;
const pool = new Uint8Array(256 * RANDOM_BYTES);
let used = pool.length;

/** Random bytes for one id; asked of the system for many ids at a time, for it is slow to ask. */
function randomBytes(): Uint8Array {
  if (used === pool.length) {
    crypto.getRandomValues(pool);
    used = 0;
  }
  used += RANDOM_BYTES;
  return pool.subarray(used - RANDOM_BYTES, used);
}

/** The randomness of the process. */
export const systemEntropy: Entropy = {
  freshId: () => v7({ random: randomBytes() }),
  random: () => Math.random(),
};
