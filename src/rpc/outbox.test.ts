import { expect, test } from "vitest";
import { makeOutbox, type Outbox } from "./outbox.ts";

async function read<Item>(outbox: Outbox<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of outbox.items()) items.push(item);
  return items;
}

test("what was pushed before and while it is read comes out in order", async () => {
  const outbox = makeOutbox<number>();
  outbox.push(1);
  outbox.push(2);
  const reading = read(outbox);
  await Promise.resolve();
  outbox.push(3);
  outbox.end();
  outbox.push(4);
  expect(await reading).toEqual([1, 2, 3]);
});

test("an error comes after what was pushed", async () => {
  const outbox = makeOutbox<number>();
  outbox.push(1);
  outbox.fail(new Error("broken"));
  const items: number[] = [];
  const reading = (async () => {
    for await (const item of outbox.items()) items.push(item);
  })();
  await expect(reading).rejects.toThrow("broken");
  expect(items).toEqual([1]);
});

test("the first ending counts", async () => {
  const outbox = makeOutbox<number>();
  outbox.end();
  outbox.fail(new Error("too late"));
  expect(await read(outbox)).toEqual([]);
});

test("the size is what was not taken yet", async () => {
  const outbox = makeOutbox<number>();
  outbox.push(1);
  outbox.push(2);
  const items = outbox.items();
  expect(outbox.size()).toBe(2);
  await items.next();
  expect(outbox.size()).toBe(1);
});
