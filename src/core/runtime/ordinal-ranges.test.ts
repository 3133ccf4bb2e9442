import { expect, test } from "vitest";
import { countInRanges, rangesHold, rangesOf } from "./ordinal-ranges.ts";

test("neighbours are one range, in whatever order they come", () => {
  expect(rangesOf([7, 3, 1, 2, 9, 8])).toEqual([
    [1, 3],
    [7, 9],
  ]);
  expect(rangesOf([])).toEqual([]);
});

test("a range holds its ends and what lies between, and nothing else", () => {
  const ranges = rangesOf([2, 3, 4, 8, 10, 11]);
  const held = Array.from({ length: 14 }, (_, ordinal) => ordinal).filter((ordinal) =>
    rangesHold(ranges, ordinal),
  );
  expect(held).toEqual([2, 3, 4, 8, 10, 11]);
  expect(countInRanges(ranges)).toBe(6);
  expect([rangesHold([], 1), countInRanges([])]).toEqual([false, 0]);
});
