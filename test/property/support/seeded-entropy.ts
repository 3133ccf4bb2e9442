// Randomness that a seed determines: the same seed gives the same run.
import type { Entropy } from "../../../src/engine/ports.ts";

/** Numbers in [0, 1) of a 32-bit generator (mulberry32). */
export function makeSeededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Ids and random numbers of a seed; ids have the form of UUIDs. */
export function makeSeededEntropy(seed: number): Entropy {
  const random = makeSeededRandom(seed);
  const digits = (count: number): string =>
    Array.from({ length: count }, () => Math.floor(random() * 16).toString(16)).join("");
  return {
    freshId: () => `${digits(8)}-${digits(4)}-7${digits(3)}-8${digits(3)}-${digits(12)}`,
    random,
  };
}
