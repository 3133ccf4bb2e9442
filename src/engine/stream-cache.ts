/**
 * The entries of one aggregate in this process. All caches share one budget of bytes: when it is
 * used up, the least recently used idle entries go first; those that somebody works on or listens
 * to stay.
 */
import type { StreamName } from "../core/shared/ids.ts";
import { isIdle } from "./stream-entry.ts";

const ENTRY_BYTES = 1500;
const SWEEP_MAX = 2000;

/** The bytes that all caches of a process may hold together. */
export interface CacheBudget {
  /** Takes note of an entry's changed size. */
  readonly resized: (bytesBefore: number, bytesAfter: number) => void;
  readonly counted: (streams: number, bytes: number) => void;
  readonly isExceeded: () => boolean;
  readonly stats: () => { readonly streams: number; readonly bytes: number };
}

/** Makes a budget of about `bytesMax` bytes. */
export function makeCacheBudget(bytesMax: number): CacheBudget {
  let streams = 0;
  let bytes = 0;
  return {
    resized: (bytesBefore, bytesAfter) => {
      bytes += bytesAfter - bytesBefore;
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
export function makeStreamCache<Entry extends Parameters<typeof isIdle>[0] & { bytes: number }>(
  budget: CacheBudget,
): StreamCache<Entry> {
  /** In order of use, the least recent first. */
  const entries = new Map<StreamName, Entry>();

  function evict(): void {
    let looked = 0;
    for (const [stream, entry] of entries) {
      if (!budget.isExceeded() || looked >= SWEEP_MAX) return;
      looked += 1;
      if (!isIdle(entry)) continue;
      entries.delete(stream);
      budget.counted(-1, -entry.bytes - ENTRY_BYTES);
    }
  }

  return {
    get: (stream, make) => {
      const known = entries.get(stream);
      const entry = known ?? make();
      if (known) entries.delete(stream);
      else budget.counted(1, ENTRY_BYTES);
      entries.set(stream, entry);
      if (budget.isExceeded()) evict();
      return entry;
    },
    peek: (stream) => entries.get(stream),
  };
}
