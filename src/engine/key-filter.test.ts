import { expect, test } from "vitest";
import type { Json } from "../core/shared/json.ts";
import { keyFilterFromJson, keyFilterToJson } from "./checkpoint-codec.ts";
import { EMPTY_KEY_FILTER, keyFilterBytes, mayContain, withKeys } from "./key-filter.ts";

const keysFrom = (first: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `inputs key-${first + index}`);

test("an empty filter contains nothing", () => {
  expect(mayContain(EMPTY_KEY_FILTER, "inputs key-1")).toBe(false);
});

test("no key that was added is ever missed, however the filter grows", () => {
  let filter = EMPTY_KEY_FILTER;
  for (let first = 0; first < 20_000; first += 500) filter = withKeys(filter, keysFrom(first, 500));
  expect(keysFrom(0, 20_000).filter((key) => !mayContain(filter, key))).toEqual([]);
});

test("less than one new key in a hundred is taken for an old one", () => {
  const filter = withKeys(EMPTY_KEY_FILTER, keysFrom(0, 20_000));
  const wrong = keysFrom(1_000_000, 20_000).filter((key) => mayContain(filter, key));
  expect(wrong.length).toBeLessThan(200);
});

test("adding answers another filter and leaves the old one as it was", () => {
  const old = withKeys(EMPTY_KEY_FILTER, keysFrom(0, 1));
  const grown = withKeys(old, keysFrom(1, 2000));
  expect(mayContain(old, "inputs key-7")).toBe(false);
  expect(mayContain(grown, "inputs key-7")).toBe(true);
  expect(keyFilterBytes(grown)).toBeGreaterThan(keyFilterBytes(old));
});

test("a filter survives its stored form", () => {
  const filter = withKeys(EMPTY_KEY_FILTER, keysFrom(0, 3000));
  const stored = JSON.stringify(keyFilterToJson(filter));
  const loaded = withKeys(keyFilterFromJson(JSON.parse(stored) as Json), ["inputs one more"]);
  expect(keysFrom(0, 3000).every((key) => mayContain(loaded, key))).toBe(true);
  expect(mayContain(loaded, "inputs one more")).toBe(true);
});
