/**
 * The entries of this process, bounded by bytes: the least recently used idle ones go first. Entries
 * that somebody listens to or works on stay.
 */
import type { StreamName } from "../core/shared/ids.ts";
import type { StreamEntry } from "./stream-entry.ts";
import { isIdle } from "./stream-entry.ts";

/** An entry whatever its types. */
type Entry = StreamEntry<never, never, never, never>;

const ENTRY_BYTES = 1500;
const SWEEP_MAX = 2000;

/** The entries of all aggregates. */
export interface StreamCache {
  /** The entry of a stream, made by `make` when it is not there. */
  readonly get: <State, Command, Event, Reply>(
    stream: StreamName,
    make: () => StreamEntry<State, Command, Event, Reply>,
  ) => StreamEntry<State, Command, Event, Reply>;
  readonly peek: <State, Command, Event, Reply>(
    stream: StreamName,
  ) => StreamEntry<State, Command, Event, Reply> | undefined;
  /** Takes note of an entry's changed size and makes room. */
  readonly resized: (bytesBefore: number, bytesAfter: number) => void;
  readonly stats: () => { readonly streams: number; readonly bytes: number };
}

/** Makes a cache of at most about `bytesMax` bytes. */
export function makeStreamCache(bytesMax: number): StreamCache {
  /** In order of use, the least recent first. */
  const entries = new Map<StreamName, Entry>();
  let bytes = 0;

  function evict(): void {
    let looked = 0;
    for (const [stream, entry] of entries) {
      if (bytes <= bytesMax || looked >= SWEEP_MAX) return;
      looked += 1;
      if (!isIdle(entry)) continue;
      entries.delete(stream);
      bytes -= entry.bytes + ENTRY_BYTES;
    }
  }

  return {
    get: <State, Command, Event, Reply>(
      stream: StreamName,
      make: () => StreamEntry<State, Command, Event, Reply>,
    ) => {
      const known = entries.get(stream);
      const entry = known ?? (make() as unknown as Entry);
      if (known) entries.delete(stream);
      else bytes += ENTRY_BYTES;
      entries.set(stream, entry);
      if (bytes > bytesMax) evict();
      return entry as unknown as StreamEntry<State, Command, Event, Reply>;
    },
    peek: <State, Command, Event, Reply>(stream: StreamName) =>
      entries.get(stream) as unknown as StreamEntry<State, Command, Event, Reply> | undefined,
    resized: (bytesBefore, bytesAfter) => {
      bytes += bytesAfter - bytesBefore;
      if (bytes > bytesMax) evict();
    },
    stats: () => ({ streams: entries.size, bytes }),
  };
}
