/**
 * Sets of admission ordinals as ascending ranges: thousands of inputs that were admitted one after
 * the other cost one pair of numbers, in an event as in an answer.
 */
import { FoldError } from "../shared/fold-error.ts";
import type { InputId } from "../shared/ids.ts";
import type { RuntimeState } from "./state.ts";

/** The first and the last ordinal of a run of neighbours, both included. */
export type OrdinalRange = readonly [number, number];

/** The ranges of ordinals in any order, each given once. */
export function rangesOf(ordinals: Iterable<number>): readonly OrdinalRange[] {
  const ranges: [number, number][] = [];
  for (const ordinal of [...ordinals].toSorted((left, right) => left - right)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === ordinal - 1) last[1] = ordinal;
    else ranges.push([ordinal, ordinal]);
  }
  return ranges;
}

/** How many ordinals the ranges hold. */
export function countInRanges(ranges: readonly OrdinalRange[]): number {
  return ranges.reduce((count, [first, last]) => count + last - first + 1, 0);
}

/** Whether the ranges hold an ordinal. */
export function rangesHold(ranges: readonly OrdinalRange[], ordinal: number): boolean {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const last = ranges[middle]?.[1] ?? ordinal;
    if (last < ordinal) low = middle + 1;
    else high = middle;
  }
  const found = ranges[low];
  return found !== undefined && found[0] <= ordinal;
}

/** The ordinals of the ranges, ascending. */
function* ordinalsIn(ranges: readonly OrdinalRange[]): Generator<number, void> {
  for (const [first, last] of ranges) {
    for (let ordinal = first; ordinal <= last; ordinal += 1) yield ordinal;
  }
}

/** The inputs of the ranges, in admission order. Throws FoldError when one is not in the state. */
export function inputIdsIn(
  state: RuntimeState,
  ranges: readonly OrdinalRange[],
): readonly InputId[] {
  return [...ordinalsIn(ranges)].map((ordinal) => {
    const inputId = state.admitted.get(ordinal);
    if (inputId === undefined) throw new FoldError(`no input has the ordinal ${ordinal}`);
    return inputId;
  });
}
