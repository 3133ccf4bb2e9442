/**
 * The entries of one aggregate in this process. All caches share one budget of bytes: when it is
 * used up, idle entries go that nobody asked for since the last sweep; those that somebody works on
 * or listens to stay.
 */
import type { StreamName } from "../core/shared/ids.ts";
import { isIdle } from "./stream-entry.ts";

const ENTRY_BYTES = 1500;
/** Entries looked at per sweep; those that stay go to the end, so that every sweep sees others. */
const SWEEP_MAX = 200;

/** The part of an entry that the budget goes by. */
interface CountedEntry {
  bytes: number;
  evicted: boolean;
  /** Asked for since the last sweep that met it. */
  recentlyUsed: boolean;
}

/** The bytes that all caches of a process may hold together. */
export interface CacheBudget {
  /** Takes note of an entry's size; one that was evicted counts no more. */
  readonly measured: (entry: CountedEntry, bytes: number) => void;
  readonly counted: (streams: number, bytes: number) => void;
  readonly isExceeded: () => boolean;
  readonly stats: () => { readonly streams: number; readonly bytes: number };
}

/** Makes a budget of about `bytesMax` bytes. */
export function makeCacheBudget(bytesMax: number): CacheBudget {
  let streams = 0;
  let bytes = 0;
  return {
    measured: (entry, entryBytes) => {
      if (!entry.evicted) bytes += entryBytes - entry.bytes;
      entry.bytes = entryBytes;
    },
    counted: (streamsMore, bytesMore) => {
      streams += streamsMore;
      bytes += bytesMore;
    },
    isExceeded: () => bytes > bytesMax,
    stats: () => ({ streams, bytes }),
  };
}

/** The entries of one aggregate. */
export interface StreamCache<Entry> {
  /** The entry of a stream, made by `make` when it is not there. */
  readonly get: (stream: StreamName, make: () => Entry) => Entry;
  readonly peek: (stream: StreamName) => Entry | undefined;
}

/** Makes a cache under a shared budget. */
export function makeStreamCache<Entry extends Parameters<typeof isIdle>[0] & CountedEntry>(
  budget: CacheBudget,
): StreamCache<Entry> {
  /** In the order in which sweeps look at them; whoever was used since gets another round. */
  const entries = new Map<StreamName, Entry>();

  function evict(): void {
    let left = Math.min(SWEEP_MAX, entries.size);
    for (const [stream, entry] of entries) {
      if (!budget.isExceeded() || left === 0) return;
      left -= 1;
      entries.delete(stream);
      if (isIdle(entry) && !entry.recentlyUsed) {
        entry.evicted = true;
        budget.counted(-1, -entry.bytes - ENTRY_BYTES);
      } else {
        entry.recentlyUsed = false;
        entries.set(stream, entry);
      }
    }
  }

  return {
    get: (stream, make) => {
      const known = entries.get(stream);
      // Marked before room is made: what is handed out is never evicted by that.
      if (known) known.recentlyUsed = true;
      if (budget.isExceeded()) evict();
      if (known) return known;
      const entry = make();
      budget.counted(1, ENTRY_BYTES);
      entries.set(stream, entry);
      return entry;
    },
    peek: (stream) => entries.get(stream),
  };
}
