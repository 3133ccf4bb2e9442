/** Stream rows in memory, with one index for every question that is asked of them. */
import type { StreamName } from "../../core/shared/ids.ts";
import type { DrainQuery, StreamQuery, StreamRow, ViewStore } from "../../engine/ports.ts";
import type { MemoryGate } from "./gate.ts";
import { compareText, makeTextIndex, makeTimeIndex } from "./order.ts";
import type { WriteLog } from "./write-log.ts";

/** The rows of a memory database, shared by its connections. */
export interface ViewTable {
  readonly upsert: (rows: readonly StreamRow[]) => void;
  readonly list: (query: StreamQuery) => readonly StreamRow[];
  readonly get: (streams: readonly StreamName[]) => readonly StreamRow[];
  readonly lastId: (listName: string) => string | undefined;
  readonly runnable: (poolName: string, at: number, limit: number) => readonly StreamRow[];
  readonly due: (at: number, limit: number) => readonly StreamRow[];
  readonly heldBy: (holder: string, limit: number) => readonly StreamRow[];
  readonly drains: (query: DrainQuery, limit: number) => readonly StreamRow[];
}

type TextIndex = ReturnType<typeof makeTextIndex<StreamRow>>;
type TimeIndex = ReturnType<typeof makeTimeIndex<StreamRow>>;

/** One string for namespaced things: no component can contain the separator unescaped. */
function joined(...components: readonly string[]): string {
  return components.map(encodeURIComponent).join("/");
}

function matches(row: StreamRow, query: StreamQuery): boolean {
  if (row.gone && !query.includeGone) return false;
  if (query.states !== undefined && !query.states.includes(row.state)) return false;
  if (query.pool !== undefined && row.pool !== query.pool) return false;
  if (query.runnableAt !== undefined) {
    if (row.runnableSince === undefined || row.runnableSince > query.runnableAt) return false;
  }
  return Object.entries(query.labels ?? {}).every(([name, value]) => row.labels[name] === value);
}

/** Rows of a time index up to `at`, earliest first. */
function upTo(index: TimeIndex | undefined, at: number, limit: number): readonly StreamRow[] {
  const rows: StreamRow[] = [];
  for (const [key, row] of index?.entries() ?? []) {
    if (key.at > at || rows.length >= limit) break;
    rows.push(row);
  }
  return rows;
}

/** The indexes over the rows. */
interface ViewIndexes {
  readonly add: (row: StreamRow) => void;
  readonly remove: (row: StreamRow) => void;
  readonly byId: (listName: string) => TextIndex | undefined;
  readonly byRunnable: (poolName: string) => TimeIndex | undefined;
  readonly byDue: TimeIndex;
  readonly byHolder: (holder: string) => TextIndex | undefined;
  readonly byDrain: (listName: string) => TextIndex | undefined;
}

/** Of a map of indexes the one with this name, made when it is not there. */
function indexOf<Index>(indexes: Map<string, Index>, name: string, make: () => Index): Index {
  const index = indexes.get(name) ?? make();
  indexes.set(name, index);
  return index;
}

/** Takes a key out of a named index and drops the index with its last key. */
function dropFrom<Key, Index extends { delete: (key: Key) => boolean; readonly size: number }>(
  indexes: Map<string, Index>,
  name: string,
  key: Key,
): void {
  const index = indexes.get(name);
  index?.delete(key);
  if (index?.size === 0) indexes.delete(name);
}

function poolNameOf(row: StreamRow, pool: string): string {
  return joined(row.kind, row.namespace, pool);
}

/** Who has the lease of a row or runs its drain. */
function holdersOf({ holder, drain }: StreamRow): ReadonlySet<string> {
  return new Set([holder, drain?.host].filter((name) => name !== undefined));
}

function makeViewIndexes(): ViewIndexes {
  const lists = new Map<string, TextIndex>();
  const pools = new Map<string, TimeIndex>();
  const holders = new Map<string, TextIndex>();
  const drains = new Map<string, TextIndex>();
  const byDue = makeTimeIndex<StreamRow>();

  function add(row: StreamRow): void {
    const { stream, pool, runnableSince, dueAt, drain } = row;
    indexOf(lists, joined(row.kind, row.namespace), makeTextIndex<StreamRow>).set(row.id, row);
    if (pool !== undefined && runnableSince !== undefined) {
      const key = { at: runnableSince, name: stream };
      indexOf(pools, poolNameOf(row, pool), makeTimeIndex<StreamRow>).set(key, row);
    }
    if (dueAt !== undefined) byDue.set({ at: dueAt, name: stream }, row);
    for (const holder of holdersOf(row)) {
      indexOf(holders, holder, makeTextIndex<StreamRow>).set(stream, row);
    }
    if (drain !== undefined) {
      indexOf(drains, joined(row.kind, row.namespace), makeTextIndex<StreamRow>).set(row.id, row);
    }
  }

  function remove(row: StreamRow): void {
    const { stream, pool, runnableSince, dueAt, drain } = row;
    dropFrom(lists, joined(row.kind, row.namespace), row.id);
    if (pool !== undefined && runnableSince !== undefined) {
      dropFrom(pools, poolNameOf(row, pool), { at: runnableSince, name: stream });
    }
    if (dueAt !== undefined) byDue.delete({ at: dueAt, name: stream });
    for (const holder of holdersOf(row)) dropFrom(holders, holder, stream);
    if (drain !== undefined) dropFrom(drains, joined(row.kind, row.namespace), row.id);
  }

  return {
    add,
    remove,
    byId: (listName) => lists.get(listName),
    byRunnable: (poolName) => pools.get(poolName),
    byDue,
    byHolder: (holder) => holders.get(holder),
    byDrain: (listName) => drains.get(listName),
  };
}

/** No rows yet. */
export function makeViewTable(log: WriteLog): ViewTable {
  const rows = new Map<StreamName, StreamRow>();
  const indexes = makeViewIndexes();

  function replace(stream: StreamName, row: StreamRow | undefined): void {
    const former = rows.get(stream);
    if (former !== undefined) indexes.remove(former);
    if (row === undefined) {
      rows.delete(stream);
      return;
    }
    rows.set(stream, row);
    indexes.add(row);
  }

  function upsertOne(row: StreamRow): void {
    const former = rows.get(row.stream);
    if (former !== undefined && former.revision >= row.revision) return;
    replace(row.stream, row);
    log.wrote(() => {
      replace(row.stream, former);
    });
  }

  function list(query: StreamQuery): readonly StreamRow[] {
    const found: StreamRow[] = [];
    const index = indexes.byId(joined(query.kind, query.namespace));
    for (const [id, row] of index?.entries(query.afterId) ?? []) {
      if (found.length >= query.limit) break;
      if (query.throughId !== undefined && compareText(id, query.throughId) > 0) break;
      if (id !== query.afterId && matches(row, query)) found.push(row);
    }
    return found;
  }

  return {
    upsert: (changed) => {
      for (const row of changed) upsertOne(row);
    },
    list,
    get: (streams) => streams.map((stream) => rows.get(stream)).filter((row) => row !== undefined),
    lastId: (listName) => indexes.byId(listName)?.maxKey(),
    runnable: (poolName, at, limit) => upTo(indexes.byRunnable(poolName), at, limit),
    due: (at, limit) => upTo(indexes.byDue, at, limit),
    heldBy: (holder, limit) => [...(indexes.byHolder(holder)?.values() ?? [])].slice(0, limit),
    drains: ({ kind, namespace, waitingIn }, limit) => {
      const found = [...(indexes.byDrain(joined(kind, namespace))?.values() ?? [])];
      const isWanted = ({ drain, pool }: StreamRow): boolean =>
        waitingIn === undefined || (drain?.state === "waiting" && pool === waitingIn);
      return found.filter(isWanted).slice(0, limit);
    },
  };
}

/** The rows as one connection sees them. */
export function makeMemoryViews(table: ViewTable, gate: MemoryGate): ViewStore {
  return {
    upsert: (rows) =>
      gate.run("views", "upsert", true, () => {
        table.upsert(rows);
      }),
    list: (query) => gate.run("views", "list", false, () => table.list(query)),
    get: (streams) => gate.run("views", "get", false, () => table.get(streams)),
    lastId: (kind, namespace) =>
      gate.run("views", "lastId", false, () => table.lastId(joined(kind, namespace))),
    runnable: (kind, namespace, pool, at, limit) =>
      gate.run("views", "runnable", false, () =>
        table.runnable(joined(kind, namespace, pool), at, limit),
      ),
    due: (at, limit) => gate.run("views", "due", false, () => table.due(at, limit)),
    heldBy: (holder, limit) =>
      gate.run("views", "heldBy", false, () => table.heldBy(holder, limit)),
    drains: (query, limit) => gate.run("views", "drains", false, () => table.drains(query, limit)),
  };
}
