import { expect, test } from "vitest";
import { emptyOrderedMap, orderedMapOf } from "./ordered-map.ts";

test("a change answers a new map and leaves the old one as it was", () => {
  const old = orderedMapOf<number, string>([
    [1, "a"],
    [2, "b"],
  ]);
  const changed = old.with(2, "B").with(3, "c").without(1);
  expect([...changed.entries()]).toEqual([
    [2, "B"],
    [3, "c"],
  ]);
  expect([...old.entries()]).toEqual([
    [1, "a"],
    [2, "b"],
  ]);
});

test("the value of an existing key is replaced", () => {
  const map = emptyOrderedMap<string, number>().with("a", 1).with("a", 2);
  expect(map.get("a")).toBe(2);
  expect(map.size).toBe(1);
});

test("many entries and keys change at once without touching the old map", () => {
  const old = orderedMapOf(Array.from({ length: 1000 }, (_, index) => [index, index] as const));
  const changed = old.withEntries([...old.entries()].map(([key, value]) => [key, -value] as const));
  expect(old.get(999)).toBe(999);
  expect(changed.get(999)).toBe(-999);
  const fewer = changed.withoutKeys(Array.from({ length: 999 }, (_, index) => index));
  expect([...fewer.keys()]).toEqual([999]);
  expect(changed.size).toBe(1000);
});

test("entries are ascending from a given key on", () => {
  const map = orderedMapOf<number, string>([
    [30, "c"],
    [10, "a"],
    [20, "b"],
  ]);
  expect([...map.keys(15)]).toEqual([20, 30]);
  expect([map.minKey(), map.maxKey()]).toEqual([10, 30]);
  expect([...map.values()]).toEqual(["a", "b", "c"]);
});
