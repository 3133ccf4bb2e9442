import fc from "fast-check";
import { expect, test } from "vitest";
import { emptyOrderedMap, type OrderedMap, orderedMapOf } from "./ordered-map.ts";

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

/** A change of the map that a number of the story says, made to a map and to a model of it. */
type Change =
  | { readonly type: "with" | "without"; readonly base: number; readonly key: number }
  | {
      readonly type: "withEntries" | "withoutKeys" | "append";
      readonly base: number;
      readonly keys: readonly number[];
    };

const key = fc.integer({ min: 0, max: 2000 });
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ type: fc.constantFrom("with", "without"), base: fc.nat(), key }),
  fc.record({
    type: fc.constantFrom("withEntries", "withoutKeys", "append"),
    base: fc.nat(),
    keys: fc.array(key, { maxLength: 300 }),
  }),
);

interface Version {
  readonly map: OrderedMap<number, string>;
  readonly model: ReadonlyMap<number, string>;
}

function next({ map, model }: Version, step: Change, value: string): Version {
  const after = new Map(model);
  switch (step.type) {
    case "with":
      return { map: map.with(step.key, value), model: after.set(step.key, value) };
    case "without":
      after.delete(step.key);
      return { map: map.without(step.key), model: after };
    case "withEntries": {
      const entries = step.keys.map((it) => [it, `${value}-${it}`] as const);
      for (const [it, its] of entries) after.set(it, its);
      return { map: map.withEntries(entries), model: after };
    }
    case "withoutKeys":
      for (const it of step.keys) after.delete(it);
      return { map: map.withoutKeys(step.keys), model: after };
    case "append": {
      // One behind the other, as inputs come.
      let grown = map;
      let last = Math.max(-1, ...model.keys());
      for (const it of step.keys) {
        last += 1 + (it % 3);
        grown = grown.with(last, value);
        after.set(last, value);
      }
      return { map: grown, model: after };
    }
  }
}

function contentOf({ map }: Pick<Version, "map">): readonly (readonly [number, string])[] {
  return [...map.entries()];
}

test("every version stays what it was, whatever is made out of it and of its descendants", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (steps) => {
      const versions: Version[] = [{ map: emptyOrderedMap(), model: new Map() }];
      for (const [index, step] of steps.entries()) {
        const base = versions[step.base % versions.length];
        if (base) versions.push(next(base, step, `v${index}`));
      }
      for (const { map, model } of versions) {
        const expected = [...model].sort(([one], [other]) => one - other);
        expect(contentOf({ map })).toEqual(expected);
        expect(map.size).toBe(expected.length);
        expect([map.minKey(), map.maxKey()]).toEqual([expected.at(0)?.[0], expected.at(-1)?.[0]]);
        for (const probe of [0, 7, 500, 1999]) {
          expect(map.get(probe)).toBe(model.get(probe));
          expect(map.has(probe)).toBe(model.has(probe));
          const above = expected.filter(([it]) => it >= probe).map(([it]) => it);
          expect([...map.keys(probe)]).toEqual(above);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test("a map that loses its keys one by one, in any order, keeps the others to the end", () => {
  const keys = Array.from({ length: 3000 }, (_, index) => (index * 1327) % 3000);
  let map = orderedMapOf(keys.map((it) => [it, it] as const));
  for (const [index, it] of keys.entries()) {
    map = map.without(it);
    expect(map.size).toBe(2999 - index);
    expect([map.has(it), map.has(keys[index + 1] ?? -1)]).toEqual([false, index < 2999]);
  }
  expect([...map.entries()]).toEqual([]);
  expect(map.with(5, 5).minKey()).toBe(5);
});
