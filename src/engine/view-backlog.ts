/**
 * Projects streams into view rows: coalesced to one write per stream and interval, guarded by
 * revision, retried until written. Views may lag; nothing true ever rests on them alone. While many
 * streams are busy, rows of which only counts and revision are behind wait longer than those whose
 * standing has changed: by that executors and timers find their streams.
 */
import type { StreamSummary } from "../core/shared/aggregate.ts";
import type { Revision, StreamName, TimeMs } from "../core/shared/ids.ts";
import { makeCoalesced } from "./durable-reads.ts";
import type { EngineObserver } from "./observer.ts";
import type { Clock, StreamRow, ViewStore } from "./ports.ts";
import type { StreamEntry } from "./stream-entry.ts";

const FLUSH_INTERVAL_MS = 250;
/**
 * Of many rows each interval writes the oldest share, but at least so many: so a row is written
 * once per interval while few streams are busy. While many are, it is written within a second, or
 * within eight seconds if its standing is the same.
 */
const MOVED = { rowsMin: 500, shares: 4 };
const GROWN = { rowsMin: 50, shares: 32 };
const RETRY_INTERVAL_MS = 1000;
const CHUNK_ROWS = 500;
/** Streams with unwritten rows (about 1 KiB each) above which committers wait. */
const PRESSURE_ROWS = 20_000;
/** Above this new work is refused. */
const OVERFULL_ROWS = 60_000;

/** A stream whose row is behind. */
interface DirtyStream {
  makeRow: () => StreamRow | undefined;
  /** Its row does not only show an older revision and other counts, but another standing. */
  moved: boolean;
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
    moved: boolean,
  ) => void;
  /** Writes everything touched before the call; rejects when the database does not take it. */
  readonly flush: () => Promise<void>;
  /** The same for the streams whose standing has changed. */
  readonly flushMoved: () => Promise<void>;
  /** Resolves when there is room again; `undefined` while there is. */
  readonly pressure: () => Promise<void> | undefined;
  readonly isOverfull: () => boolean;
  readonly size: () => number;
  /** Time of the oldest commit not yet in the views; `undefined` when all are. */
  readonly oldestMs: () => TimeMs | undefined;
  readonly stop: () => void;
}

/** Whether two summaries are the same for all who look for streams by them. */
export function isSameStanding(one: StreamSummary, other: StreamSummary): boolean {
  return (
    one.runnableSince === other.runnableSince &&
    one.dueAt === other.dueAt &&
    one.holder === other.holder &&
    one.state === other.state &&
    one.pool === other.pool &&
    one.gone === other.gone &&
    one.labels === other.labels &&
    one.drain?.state === other.drain?.state &&
    one.drain?.host === other.drain?.host
  );
}

/** The view row of a loaded entry. */
function rowOf<State, Command, Event, Reply>(
  entry: StreamEntry<State, Command, Event, Reply>,
): StreamRow | undefined {
  const fold = entry.fold;
  if (!fold || fold.revision === 0) return undefined;
  const { aggregate } = entry;
  const { pool, runnableSince, dueAt, holder, drain, ...summary } = aggregate.summarize(fold.state);
  return {
    stream: entry.stream,
    ...entry.address,
    revision: fold.revision,
    at: fold.at,
    state: summary.state,
    labels: summary.labels,
    gone: summary.gone,
    factsText: JSON.stringify(aggregate.facts(fold.state)),
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
  /** Streams whose standing has changed, and the others whose rows are behind. */
  const moved = new Map<StreamName, DirtyStream>();
  const grown = new Map<StreamName, DirtyStream>();
  let writing: ReadonlyMap<StreamName, DirtyStream> = new Map();
  let room: { readonly promise: Promise<void>; readonly open: () => void } | null = null;
  let stopped = false;
  /** How many of the oldest rows of each sort the next write takes. */
  let wanted = { moved: 0, grown: 0 };
  const dirtyCount = (): number => moved.size + grown.size;

  /** Notes a stream as behind; of two entries of one stream the one that is further on counts. */
  function note(stream: StreamName, behind: DirtyStream): void {
    const known = moved.get(stream) ?? grown.get(stream);
    if (!known) {
      (behind.moved ? moved : grown).set(stream, behind);
      return;
    }
    known.sinceMs = Math.min(known.sinceMs, behind.sinceMs);
    if (behind.moved && !known.moved) {
      known.moved = true;
      grown.delete(stream);
      moved.set(stream, known);
    }
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
  function takeOldest(
    dirty: Map<StreamName, DirtyStream>,
    limit: number,
    taken: Map<StreamName, DirtyStream>,
  ): void {
    let count = 0;
    for (const [stream, behind] of dirty) {
      if (count >= limit) return;
      count += 1;
      taken.set(stream, behind);
      dirty.delete(stream);
    }
  }

  async function writeDirty(): Promise<void> {
    const limits = wanted;
    wanted = { moved: 0, grown: 0 };
    if (dirtyCount() === 0) return;
    const taken = new Map<StreamName, DirtyStream>();
    takeOldest(moved, limits.moved, taken);
    takeOldest(grown, limits.grown, taken);
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
      if (dirtyCount() < PRESSURE_ROWS && room) {
        room.open();
        room = null;
      }
    }
  }

  const write = makeCoalesced(writeDirty);

  /** Writes at least so many of the oldest rows of each sort. */
  function writeRows(movedRows: number, grownRows: number): Promise<void> {
    wanted = {
      moved: Math.max(wanted.moved, movedRows),
      grown: Math.max(wanted.grown, grownRows),
    };
    return write();
  }

  async function tick(): Promise<void> {
    let pauseMs = FLUSH_INTERVAL_MS;
    try {
      const shareOf = ({ size }: { readonly size: number }, { rowsMin, shares }: typeof MOVED) =>
        Math.max(rowsMin, Math.ceil(size / shares));
      await writeRows(shareOf(moved, MOVED), shareOf(grown, GROWN));
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
    if (dirtyCount() < PRESSURE_ROWS) return undefined;
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
    for (const streams of [moved, grown, writing]) {
      for (const { sinceMs } of streams.values()) {
        if (oldest === undefined || sinceMs < oldest) oldest = sinceMs;
      }
    }
    return oldest;
  }

  schedule(FLUSH_INTERVAL_MS);
  return {
    touch: (entry, commitAt, hasMoved) => {
      const revision = entry.fold?.revision ?? 0;
      const makeRow = (): StreamRow | undefined => rowOf(entry);
      note(entry.stream, { makeRow, moved: hasMoved, revision, sinceMs: commitAt });
    },
    flush: () => writeRows(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
    flushMoved: () => writeRows(Number.POSITIVE_INFINITY, 0),
    pressure,
    isOverfull: () => dirtyCount() + writing.size > OVERFULL_ROWS,
    size: () => dirtyCount() + writing.size,
    oldestMs,
    stop: () => {
      stopped = true;
    },
  };
}
