/**
 * Pages over what a runtime keeps in order of an ordinal: the forgotten part lies in the records,
 * the rest in the folded state. A fold that was read before the records misses nothing: whatever
 * left it before is in the records by then.
 */
import type { StreamName } from "../core/shared/ids.ts";
import type { JsonObject } from "../core/shared/json.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";

/** One entry with its place. */
export interface Ordered<Item> {
  readonly ordinal: number;
  readonly item: Item;
}

/** Where the entries are. */
export interface OrdinalSource<Item> {
  readonly streams: Pick<RuntimeStreams, "listRecords">;
  readonly stream: StreamName;
  readonly recordClass: string;
  readonly fromRecord: (body: JsonObject) => Item;
  /** Entries of the fold after an ordinal, ascending. */
  readonly held: (afterOrdinal: number) => Iterable<Ordered<Item>>;
  /** False when the caller wants nothing that the records could hold. */
  readonly includesForgotten: boolean;
}

/** Entries in order after an ordinal, at most `limit`. */
async function readOrdered<Item>(
  source: OrdinalSource<Item>,
  afterOrdinal: number,
  limit: number,
): Promise<readonly Ordered<Item>[]> {
  const { streams, stream, recordClass, fromRecord } = source;
  const records = source.includesForgotten
    ? await streams.listRecords(stream, recordClass, afterOrdinal, limit)
    : [];
  const byOrdinal = new Map<number, Item>();
  for (const { ordinal, body } of records) byOrdinal.set(ordinal, fromRecord(body));
  const last = records.length === limit ? records.at(-1) : undefined;
  const bound = last?.ordinal ?? Number.POSITIVE_INFINITY;
  let taken = 0;
  for (const { ordinal, item } of source.held(afterOrdinal)) {
    if (ordinal > bound || taken === limit) break;
    byOrdinal.set(ordinal, item);
    taken += 1;
  }
  const ordered = [...byOrdinal].map(([ordinal, item]) => ({ ordinal, item }));
  ordered.sort((left, right) => left.ordinal - right.ordinal);
  return ordered.slice(0, limit);
}

/** A page of the entries that match. */
export interface OrderedPage<Item> {
  readonly items: readonly Item[];
  /**
   * Where the search stopped: the last ordinal looked at, or for the latest entries the last one
   * not looked at. Undefined when there is nothing more.
   */
  readonly next?: number;
}

/** What ends a page. */
export interface PageLimits<Item> {
  readonly pageSize: number;
  /** A page holds at least one entry, whatever its size. */
  readonly bytesMax: number;
  readonly bytesOf: (item: Item) => number;
  readonly matches: (item: Item) => boolean;
}

/** Entries looked at for one page at most, so that a rare filter cannot hold a call for long. */
const LOOKED_AT_MAX = 10_000;
const CHUNK = 1_000;

/** Which of the last entries are wanted. */
export interface LatestTerms<Item> {
  /** Entries up to here are not looked at. */
  readonly afterOrdinal: number;
  /** The last entry to look at. */
  readonly throughOrdinal: number;
  /** As soon as so many are found, no more are looked for. */
  readonly count: number;
  readonly matches: (item: Item) => boolean;
}

/** The last entries that match, in their order, looked for from the end. */
export async function readLatest<Item>(
  source: OrdinalSource<Item>,
  { afterOrdinal, throughOrdinal, count, matches }: LatestTerms<Item>,
): Promise<OrderedPage<Item>> {
  const floor = Math.max(afterOrdinal, throughOrdinal - LOOKED_AT_MAX);
  let items: readonly Item[] = [];
  let until = throughOrdinal;
  while (until > floor && items.length < count) {
    const from = Math.max(floor, until - CHUNK);
    const chunk = await readOrdered(source, from, until - from);
    const last = until;
    const wanted = chunk.filter(({ ordinal, item }) => ordinal <= last && matches(item));
    items = [...wanted.map(({ item }) => item), ...items].slice(-count);
    until = from;
  }
  const isDone = items.length >= count || until <= afterOrdinal;
  return isDone ? { items } : { items, next: until };
}

/** The page after an ordinal. */
export async function readPage<Item>(
  source: OrdinalSource<Item>,
  afterOrdinal: number,
  limits: PageLimits<Item>,
): Promise<OrderedPage<Item>> {
  const items: Item[] = [];
  let position = afterOrdinal;
  let bytes = 0;
  let size = Math.min(CHUNK, limits.pageSize + 1);
  for (let looked = 0; looked < LOOKED_AT_MAX; looked += size, size = CHUNK) {
    const chunk = await readOrdered(source, position, size);
    for (const { ordinal, item } of chunk) {
      if (limits.matches(item)) {
        bytes += limits.bytesOf(item);
        const isFull = items.length === limits.pageSize || bytes > limits.bytesMax;
        if (items.length > 0 && isFull) return { items, next: position };
        items.push(item);
      }
      position = ordinal;
    }
    if (chunk.length < size) return { items };
  }
  return { items, next: position };
}
