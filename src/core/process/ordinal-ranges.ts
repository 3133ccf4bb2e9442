/**
 * Sets of ordinals as sorted, disjoint ranges: a backlog that is dealt with in order is one range,
 * however long it is.
 */

/** The first and the last of neighbouring ordinals, both in the set. */
export type OrdinalRange = readonly [first: number, last: number];

/** The set with one more ordinal, higher than all in it. */
export function withLast(
  ranges: readonly OrdinalRange[],
  ordinal: number,
): readonly OrdinalRange[] {
  const last = ranges.at(-1);
  if (last === undefined || last[1] + 1 !== ordinal) return [...ranges, [ordinal, ordinal]];
  return [...ranges.slice(0, -1), [last[0], ordinal]];
}

/** The set without an ordinal. */
export function withoutOrdinal(
  ranges: readonly OrdinalRange[],
  ordinal: number,
): readonly OrdinalRange[] {
  return ranges.flatMap(([first, last]): readonly OrdinalRange[] => {
    if (ordinal < first || ordinal > last) return [[first, last]];
    const rest: readonly OrdinalRange[] = [
      [first, ordinal - 1],
      [ordinal + 1, last],
    ];
    return rest.filter(([from, to]) => from <= to);
  });
}

/** Whether an ordinal is in the set. */
export function hasOrdinal(ranges: readonly OrdinalRange[], ordinal: number): boolean {
  return ranges.some(([first, last]) => first <= ordinal && ordinal <= last);
}
