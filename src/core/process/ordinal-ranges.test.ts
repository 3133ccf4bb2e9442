import fc from "fast-check";
import { expect, test } from "vitest";
import { hasOrdinal, type OrdinalRange, withLast, withoutOrdinal } from "./ordinal-ranges.ts";

test("a backlog that is dealt with in order is one range", () => {
  let ranges: readonly OrdinalRange[] = [];
  for (let ordinal = 1; ordinal <= 1_000; ordinal += 1) ranges = withLast(ranges, ordinal);
  expect(ranges).toEqual([[1, 1_000]]);
  for (let ordinal = 1; ordinal <= 400; ordinal += 1) ranges = withoutOrdinal(ranges, ordinal);
  expect(ranges).toEqual([[401, 1_000]]);
});

test("ranges hold what a plain set would hold", () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 1, max: 30 }))), (steps) => {
      let ranges: readonly OrdinalRange[] = [];
      const plain = new Set<number>();
      let last = 0;
      for (const step of steps) {
        if (step === null) {
          last += 1;
          ranges = withLast(ranges, last);
          plain.add(last);
        } else {
          ranges = withoutOrdinal(ranges, step);
          plain.delete(step);
        }
      }
      for (let ordinal = 0; ordinal <= 31; ordinal += 1) {
        expect(hasOrdinal(ranges, ordinal)).toBe(plain.has(ordinal));
      }
    }),
  );
});
