import { expect, test } from "vitest";
import { streamNameOf } from "../core/shared/ids.ts";
import { type OrdinalSource, readLatest, readPage } from "./ordinal-pages.ts";

/** Entries by ordinal: some are forgotten, some are held, some are in both on their way out. */
function sourceOf(
  forgotten: readonly number[],
  held: readonly number[],
  includesForgotten = true,
): OrdinalSource<number> {
  return {
    streams: {
      listRecords: async (_stream, _recordClass, after, limit) =>
        forgotten
          .filter((ordinal) => ordinal > after)
          .slice(0, limit)
          .map((ordinal) => ({ ordinal, body: { ordinal } })),
    },
    stream: streamNameOf("runtime/default/r"),
    recordClass: "inputs",
    fromRecord: (body) => Number(body["ordinal"]),
    held: (after) =>
      held.filter((ordinal) => ordinal > after).map((ordinal) => ({ ordinal, item: ordinal })),
    includesForgotten,
  };
}

const LIMITS = { bytesMax: 1_000_000, bytesOf: () => 1, matches: () => true };

async function allPages(source: OrdinalSource<number>, pageSize: number): Promise<number[][]> {
  const pages: number[][] = [];
  let next: number | undefined = 0;
  while (next !== undefined) {
    const page: Awaited<ReturnType<typeof readPage<number>>> = await readPage(source, next, {
      ...LIMITS,
      pageSize,
    });
    pages.push([...page.items]);
    ({ next } = page);
  }
  return pages;
}

test("forgotten and held entries come in one order, none twice", async () => {
  const source = sourceOf([1, 2, 4, 5, 8], [3, 5, 6, 7, 9]);
  expect(await allPages(source, 4)).toEqual([[1, 2, 3, 4], [5, 6, 7, 8], [9]]);
});

test("more entries than one read holds are found page by page", async () => {
  const forgotten = Array.from({ length: 2_500 }, (_, index) => 2 * index + 1);
  const held = Array.from({ length: 2_500 }, (_, index) => 2 * index + 2);
  const pages = await allPages(sourceOf(forgotten, held), 1_000);
  expect(pages.flat()).toEqual(Array.from({ length: 5_000 }, (_, index) => index + 1));
});

/** A source that counts the rows that it hands out. */
function countingSource(forgotten: readonly number[], held: readonly number[]) {
  const source = sourceOf(forgotten, held);
  const read = { rows: 0 };
  const listRecords: typeof source.streams.listRecords = async (...range) => {
    const rows = await source.streams.listRecords(...range);
    read.rows += rows.length;
    return rows;
  };
  return { source: { ...source, streams: { listRecords } }, read };
}

const LONG = Array.from({ length: 50_000 }, (_, index) => index + 1);

test("a page in the middle of a long history reads the page and one row more", async () => {
  const { source, read } = countingSource(LONG, [50_001]);
  const page = await readPage(source, 25_000, { ...LIMITS, pageSize: 100 });
  expect([page.items[0], page.items.at(-1), page.next]).toEqual([25_001, 25_100, 25_100]);
  expect(read.rows).toBe(101);
});

test("the latest entries are found without those before, in their order", async () => {
  const { source, read } = countingSource(LONG, [50_001, 50_002]);
  const terms = { afterOrdinal: 0, throughOrdinal: 50_002, count: 3, matches: () => true };
  expect(await readLatest(source, terms)).toEqual({ items: [50_000, 50_001, 50_002] });
  expect(read.rows).toBeLessThanOrEqual(1_000);
  const odd = { ...terms, throughOrdinal: 7, matches: (ordinal: number) => ordinal % 2 === 1 };
  expect(await readLatest(source, odd)).toEqual({ items: [3, 5, 7] });
  expect(await readLatest(source, { ...odd, afterOrdinal: 5 })).toEqual({ items: [7] });
});

test("rare latest entries are looked for in bounds, then on from there", async () => {
  const { source, read } = countingSource(LONG, []);
  const terms = { afterOrdinal: 0, count: 2, matches: (ordinal: number) => ordinal === 33_333 };
  const first = await readLatest(source, { ...terms, throughOrdinal: 50_000 });
  expect([first, read.rows]).toEqual([{ items: [], next: 40_000 }, 10_000]);
  const second = await readLatest(source, { ...terms, throughOrdinal: 40_000 });
  expect([second, read.rows]).toEqual([{ items: [33_333], next: 30_000 }, 20_000]);
  const none = await readLatest(source, { ...terms, count: 0, throughOrdinal: 30_000 });
  expect([none, read.rows]).toEqual([{ items: [] }, 20_000]);
});

test("a list of what is live does not look at the records", async () => {
  expect(await allPages(sourceOf([1, 2], [3], false), 10)).toEqual([[3]]);
});

test("a page ends at its size in bytes, after at least one entry", async () => {
  const limits = { ...LIMITS, pageSize: 10, bytesMax: 5, bytesOf: () => 3 };
  const page = await readPage(sourceOf([], [1, 2, 3]), 0, limits);
  expect(page).toEqual({ items: [1], next: 1 });
  const large = await readPage(sourceOf([], [1, 2]), 0, { ...limits, bytesOf: () => 100 });
  expect(large).toEqual({ items: [1], next: 1 });
});

test("a filter that matches nothing for long answers an empty page with a token", async () => {
  const held = Array.from({ length: 12_000 }, (_, index) => index + 1);
  const limits = { ...LIMITS, pageSize: 1_000, matches: (ordinal: number) => ordinal > 11_990 };
  const first = await readPage(sourceOf([], held), 0, limits);
  expect(first.items).toEqual([]);
  expect(first.next).toBeGreaterThan(9_000);
  const second = await readPage(sourceOf([], held), first.next ?? 0, limits);
  expect(second.items).toHaveLength(10);
});
