/**
 * Projects streams into view rows: coalesced to one write per stream and interval, guarded by
 * revision, retried until written. Views may lag; nothing true ever rests on them alone.
 */
import type { Revision, StreamName, TimeMs } from "../core/shared/ids.ts";
import { makeCoalesced } from "./durable-reads.ts";
import type { EngineObserver } from "./observer.ts";
import type { Clock, StreamRow, ViewStore } from "./ports.ts";
import type { StreamEntry } from "./stream-entry.ts";

const FLUSH_INTERVAL_MS = 250;
/**
 * Of many rows each interval writes the oldest quarter, but at least this many: so a row is written
 * once per interval while few streams are busy, and once per second while many are.
 */
const SHARE_ROWS_MIN = 500;
const SHARES = 4;
const RETRY_INTERVAL_MS = 1000;
const CHUNK_ROWS = 500;
/** Streams with unwritten rows (about 1 KiB each) above which committers wait. */
const PRESSURE_ROWS = 20_000;
/** Above this new work is refused. */
const OVERFULL_ROWS = 60_000;

/** A stream whose row is behind. */
interface DirtyStream {
  makeRow: () => StreamRow | undefined;
  /** The row will show at least this revision. */
  revision: Revision;
  /** Time of the oldest commit that the row does not show yet. */
  sinceMs: TimeMs;
}

/** The rows to be written. */
export interface ViewBacklog {
  readonly touch: <State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    commitAt: TimeMs,
  ) => void;
  /** Writes everything touched before the call; rejects when the database does not take it. */
  readonly flush: () => Promise<void>;
  /** Resolves when there is room again; `undefined` while there is. */
  readonly pressure: () => Promise<void> | undefined;
  readonly isOverfull: () => boolean;
  readonly size: () => number;
  /** Time of the oldest commit not yet in the views; `undefined` when all are. */
  readonly oldestMs: () => TimeMs | undefined;
  readonly stop: () => void;
}

/** The view row of a loaded entry. */
function rowOf<State, Command, Event, Reply>(
  entry: StreamEntry<State, Command, Event, Reply>,
): StreamRow | undefined {
  const fold = entry.fold;
  if (!fold || fold.revision === 0) return undefined;
  const { pool, runnableSince, dueAt, holder, drain, ...summary } = entry.aggregate.summarize(
    fold.state,
  );
  return {
    stream: entry.stream,
    ...entry.address,
    revision: fold.revision,
    at: fold.at,
    state: summary.state,
    labels: summary.labels,
    gone: summary.gone,
    factsText: JSON.stringify(summary.facts()),
    ...(pool === undefined ? {} : { pool }),
    ...(runnableSince === undefined ? {} : { runnableSince }),
    ...(dueAt === undefined ? {} : { dueAt }),
    ...(holder === undefined ? {} : { holder }),
    ...(drain === undefined ? {} : { drain }),
  };
}

/** Makes the backlog of a process and starts its timer. */
export function makeViewBacklog(
  views: ViewStore,
  clock: Clock,
  observer: EngineObserver,
): ViewBacklog {
  let dirty = new Map<StreamName, DirtyStream>();
  let writing = new Map<StreamName, DirtyStream>();
  let room: { readonly promise: Promise<void>; readonly open: () => void } | null = null;
  let stopped = false;
  /** How many of the oldest rows the next write takes. */
  let wantedRows = 0;

  /** Notes a stream as behind; of two entries of one stream the one that is further on counts. */
  function note(stream: StreamName, behind: DirtyStream): void {
    const known = dirty.get(stream);
    if (!known) {
      dirty.set(stream, behind);
      return;
    }
    known.sinceMs = Math.min(known.sinceMs, behind.sinceMs);
    if (known.revision > behind.revision) return;
    known.revision = behind.revision;
    known.makeRow = behind.makeRow;
  }

  /** A stream that cannot be summarized goes without its row; the others get theirs. */
  function rowsOf(behind: DirtyStream): readonly StreamRow[] {
    try {
      return [behind.makeRow()].filter((row) => row !== undefined);
    } catch (error) {
      observer.backgroundFailed("row of a stream", error);
      return [];
    }
  }

  /** Takes the rows that have been behind the longest; a map keeps the order of first entry. */
  function takeOldest(limit: number): Map<StreamName, DirtyStream> {
    if (dirty.size <= limit) {
      const all = dirty;
      dirty = new Map();
      return all;
    }
    const taken = new Map<StreamName, DirtyStream>();
    for (const [stream, behind] of dirty) {
      if (taken.size === limit) break;
      taken.set(stream, behind);
      dirty.delete(stream);
    }
    return taken;
  }

  async function writeDirty(): Promise<void> {
    const limit = wantedRows;
    wantedRows = 0;
    if (dirty.size === 0) return;
    const taken = takeOldest(limit);
    writing = taken;
    try {
      const rows = [...taken.values()].flatMap(rowsOf);
      for (let start = 0; start < rows.length; start += CHUNK_ROWS) {
        await views.upsert(rows.slice(start, start + CHUNK_ROWS));
      }
    } catch (error) {
      for (const [stream, behind] of taken) note(stream, behind);
      throw error;
    } finally {
      writing = new Map();
      if (dirty.size < PRESSURE_ROWS && room) {
        room.open();
        room = null;
      }
    }
  }

  const write = makeCoalesced(writeDirty);

  /** Writes at least so many of the oldest rows. */
  function writeRows(rows: number): Promise<void> {
    wantedRows = Math.max(wantedRows, rows);
    return write();
  }

  async function tick(): Promise<void> {
    let pauseMs = FLUSH_INTERVAL_MS;
    try {
      await writeRows(Math.max(SHARE_ROWS_MIN, Math.ceil(dirty.size / SHARES)));
    } catch (error) {
      observer.backgroundFailed("projection of views", error);
      pauseMs = RETRY_INTERVAL_MS;
    }
    if (!stopped) schedule(pauseMs);
  }

  function schedule(delayMs: number): void {
    clock.after(delayMs, () => {
      void tick();
    });
  }

  function pressure(): Promise<void> | undefined {
    if (dirty.size < PRESSURE_ROWS) return undefined;
    if (!room) {
      let open: () => void = () => undefined;
      const promise = new Promise<void>((resolve) => {
        open = resolve;
      });
      room = { promise, open };
    }
    return room.promise;
  }

  function oldestMs(): TimeMs | undefined {
    let oldest: TimeMs | undefined;
    for (const streams of [dirty, writing]) {
      for (const { sinceMs } of streams.values()) {
        if (oldest === undefined || sinceMs < oldest) oldest = sinceMs;
      }
    }
    return oldest;
  }

  schedule(FLUSH_INTERVAL_MS);
  return {
    touch: (entry, commitAt) => {
      const revision = entry.fold?.revision ?? 0;
      note(entry.stream, { makeRow: () => rowOf(entry), revision, sinceMs: commitAt });
    },
    flush: () => writeRows(Number.POSITIVE_INFINITY),
    pressure,
    isOverfull: () => dirty.size + writing.size > OVERFULL_ROWS,
    size: () => dirty.size + writing.size,
    oldestMs,
    stop: () => {
      stopped = true;
    },
  };
}
