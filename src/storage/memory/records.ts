/** Records in memory: rows of a stream and class, by ordinal and by lookup. */
import type { StreamName } from "../../core/shared/ids.ts";
import type { RecordStore, StoredRecord } from "../../engine/ports.ts";
import type { MemoryGate } from "./gate.ts";
import type { WriteLog } from "./write-log.ts";

/** The rows of one stream and class. */
interface Shelf {
  /** Ascending by ordinal. */
  readonly rows: StoredRecord[];
  readonly byLookup: Map<string, StoredRecord[]>;
}

/** The records of a memory database, shared by its connections. */
export interface RecordTable {
  readonly insert: (rows: readonly StoredRecord[]) => void;
  readonly find: (
    stream: StreamName,
    recordClass: string,
    lookups: readonly string[],
  ) => readonly StoredRecord[];
  readonly list: (
    stream: StreamName,
    recordClass: string,
    afterOrdinal: number,
    limit: number,
  ) => readonly StoredRecord[];
}

/** Index of the first row with an ordinal above `ordinal`. */
function indexAfter(rows: readonly StoredRecord[], ordinal: number): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = rows[middle];
    if (row !== undefined && row.ordinal <= ordinal) low = middle + 1;
    else high = middle;
  }
  return low;
}

function without(rows: readonly StoredRecord[], row: StoredRecord): StoredRecord[] {
  return rows.filter((other) => other !== row);
}

/** Empty shelves. */
export function makeRecordTable(log: WriteLog): RecordTable {
  const shelves = new Map<string, Shelf>();
  const shelfName = (stream: StreamName, recordClass: string): string => `${recordClass}:${stream}`;

  function remove(shelf: Shelf, row: StoredRecord): void {
    shelf.rows.splice(shelf.rows.indexOf(row), 1);
    for (const lookup of row.lookups) {
      shelf.byLookup.set(lookup, without(shelf.byLookup.get(lookup) ?? [], row));
    }
  }

  function insertOne(row: StoredRecord): void {
    const name = shelfName(row.stream, row.recordClass);
    const shelf: Shelf = shelves.get(name) ?? { rows: [], byLookup: new Map() };
    shelves.set(name, shelf);
    const index = indexAfter(shelf.rows, row.ordinal);
    if (shelf.rows[index - 1]?.ordinal === row.ordinal) return;
    shelf.rows.splice(index, 0, row);
    for (const lookup of new Set(row.lookups)) {
      const found = shelf.byLookup.get(lookup);
      if (found === undefined) shelf.byLookup.set(lookup, [row]);
      else found.push(row);
    }
    log.wrote(() => {
      remove(shelf, row);
    });
  }

  return {
    insert: (rows) => {
      for (const row of rows) insertOne(row);
    },
    find: (stream, recordClass, lookups) => {
      const shelf = shelves.get(shelfName(stream, recordClass));
      if (shelf === undefined) return [];
      const rows = new Set(lookups.flatMap((lookup) => shelf.byLookup.get(lookup) ?? []));
      return [...rows].sort((left, right) => left.ordinal - right.ordinal);
    },
    list: (stream, recordClass, afterOrdinal, limit) => {
      const rows = shelves.get(shelfName(stream, recordClass))?.rows ?? [];
      const start = indexAfter(rows, afterOrdinal);
      return rows.slice(start, start + limit);
    },
  };
}

/** The records as one connection sees them. */
export function makeMemoryRecords(table: RecordTable, gate: MemoryGate): RecordStore {
  return {
    insert: (rows) =>
      gate.run("records", "insert", true, () => {
        table.insert(rows);
      }),
    find: (stream, recordClass, lookups) =>
      gate.run("records", "find", false, () => table.find(stream, recordClass, lookups)),
    list: (stream, recordClass, afterOrdinal, limit) =>
      gate.run("records", "list", false, () =>
        table.list(stream, recordClass, afterOrdinal, limit),
      ),
  };
}
