import { expect, test } from "vitest";
import { firstBehind, type Landmarks, withEvent } from "./landmarks.ts";

/** The landmarks before each of so many events; the nth has the sequence that is given for it. */
function historyOf(count: number, sequenceOf: (ordinal: number) => number) {
  const before = new Map<number, Landmarks>();
  let landmarks: Landmarks = [];
  for (let ordinal = 1; ordinal <= count; ordinal += 1) {
    before.set(sequenceOf(ordinal), landmarks);
    landmarks = withEvent(landmarks, ordinal - 1, sequenceOf(ordinal));
  }
  return { before, landmarks };
}

test("the landmarks of n events end the blocks of the binary parts of n", () => {
  const landmarksOf = (count: number) => historyOf(count, (ordinal) => ordinal).landmarks;
  expect([0, 1, 2, 3, 4, 7, 8, 13].map(landmarksOf)).toEqual([
    [],
    [1],
    [2],
    [2, 3],
    [4],
    [4, 6, 7],
    [8],
    [8, 12, 13],
  ]);
});

test("the first event behind any sequence is found, and none where there is none", async () => {
  // Events 3, 6, 9, ..., 120.
  const { before, landmarks } = historyOf(40, (ordinal) => ordinal * 3);
  const at = (found: number) => Promise.resolve(before.get(found));
  for (let sequence = 0; sequence < 120; sequence += 1) {
    const expected = sequence - (sequence % 3) + 3;
    expect(await firstBehind(landmarks, sequence, at)).toBe(expected);
  }
  expect(await firstBehind(landmarks, 120, at)).toBeUndefined();
  expect(await firstBehind([], 0, at)).toBeUndefined();
});

test("among 100,000 events no more than eighteen are looked at", async () => {
  const { before, landmarks } = historyOf(100_000, (ordinal) => ordinal);
  for (const sequence of [0, 1, 49_999, 65_535, 65_536, 99_998]) {
    let steps = 0;
    const found = await firstBehind(landmarks, sequence, async (event) => {
      steps += 1;
      return before.get(event);
    });
    expect(found).toBe(sequence + 1);
    expect(steps).toBeLessThanOrEqual(18);
  }
});
