import { expect, it } from "vitest";
import { streamNameOf } from "../core/shared/ids.ts";
import { makeReadyQueue } from "./ready-queue.ts";

const name = (id: string | number) => streamNameOf(`runtime/default/${id}`);

it("hands out the oldest first, whatever the order of the offers", () => {
  const queue = makeReadyQueue();
  for (const [id, since] of [
    ["b", 20],
    ["a", 10],
    ["c", 30],
  ] as const) {
    queue.offer(name(id), since);
  }
  expect([queue.take(100), queue.take(100), queue.take(100), queue.take(100)]).toEqual([
    name("a"),
    name("b"),
    name("c"),
    undefined,
  ]);
});

it("hands out nothing before it is due, and says when that is", () => {
  const queue = makeReadyQueue();
  queue.offer(name("a"), 50);
  expect(queue.take(49)).toBeUndefined();
  expect(queue.nextDueMs()).toBe(50);
  expect(queue.take(50)).toBe(name("a"));
  expect(queue.nextDueMs()).toBeUndefined();
});

it("keeps the age of what is put off", () => {
  const queue = makeReadyQueue();
  queue.offer(name("old"), 10, 200);
  queue.offer(name("young"), 100);
  expect(queue.take(150)).toBe(name("young"));
  queue.offer(name("young"), 100);
  expect(queue.take(200)).toBe(name("old"));
});

it("holds a runtime once; the last offer counts", () => {
  const queue = makeReadyQueue();
  queue.offer(name("a"), 10);
  queue.offer(name("a"), 90);
  expect(queue.size()).toBe(1);
  expect(queue.take(50)).toBeUndefined();
  queue.remove(name("a"));
  expect(queue.size()).toBe(0);
  expect(queue.take(1000)).toBeUndefined();
});

it("drops the youngest when it is full, and hands out nothing as young from then on", () => {
  const queue = makeReadyQueue();
  for (let since = 1; since <= 6000; since += 1) queue.offer(name(since), since);
  expect(queue.size()).toBe(5000);
  expect(queue.horizonMs()).toBe(5000);
  queue.offer(name("late"), 7000);
  const taken = Array.from({ length: 5000 }, () => queue.take(10_000));
  expect(taken.slice(0, 3)).toEqual([name(1), name(2), name(3)]);
  expect(taken.at(-1)).toBeDefined();
  queue.offer(name("younger"), 8000);
  expect(queue.take(10_000)).toBeUndefined();
  queue.setHorizon(Number.POSITIVE_INFINITY);
  expect(queue.take(10_000)).toBe(name("younger"));
});
