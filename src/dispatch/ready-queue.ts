/**
 * Runtimes with work, oldest first, per pool. Bounded: what does not fit is found again in the
 * views. Entries are hints: whether a run starts is decided by the stream's own commit.
 *
 * The queue knows how far it is complete: beyond its horizon runtimes may wait that it does not
 * hold, so nothing younger is handed out until the views were looked at.
 */
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import { emptyOrderedMap, type OrderedMap } from "../core/shared/ordered-map.ts";

/** Most entries of a queue. */
const ENTRIES_MAX = 5000;

/** Runnable runtimes of one pool, oldest first. */
export interface ReadyQueue {
  /**
   * Adds or moves a runtime that is runnable since then; it is handed out from `dueAt` on, which is
   * `runnableSince` unless told otherwise. Both may lie in the future.
   */
  readonly offer: (stream: StreamName, runnableSince: TimeMs, dueAt?: TimeMs) => void;
  readonly remove: (stream: StreamName) => void;
  /** Takes the oldest runtime that is due and not beyond the horizon. */
  readonly take: (nowMs: TimeMs) => StreamName | undefined;
  /** Since when the one waits that `take` would hand out; `undefined` when there is none. */
  readonly oldestMs: (nowMs: TimeMs) => TimeMs | undefined;
  /** When the next one that is not due yet is; `undefined` when there is none. */
  readonly nextDueMs: () => TimeMs | undefined;
  /** Every runtime that is runnable since then or earlier is known here. */
  readonly horizonMs: () => TimeMs;
  readonly setHorizon: (horizonMs: TimeMs) => void;
  readonly size: () => number;
}

interface Entry {
  readonly stream: StreamName;
  readonly runnableSince: TimeMs;
  readonly dueAt: TimeMs;
}

type Order = OrderedMap<string, Entry>;

/** Order: time first, then name. */
function keyOf(timeMs: TimeMs, stream: StreamName): string {
  return `${String(timeMs).padStart(16, "0")} ${stream}`;
}

const firstOf = (order: Order): Entry | undefined => order.get(order.minKey() ?? "");
const lastOf = (order: Order): Entry | undefined => order.get(order.maxKey() ?? "");

/** Makes an empty queue. */
export function makeReadyQueue(): ReadyQueue {
  const entries = new Map<StreamName, { readonly entry: Entry; readonly isReady: boolean }>();
  /** By the time since when they are runnable. */
  let ready: Order = emptyOrderedMap();
  /** By the time from which on they may be handed out. */
  let later: Order = emptyOrderedMap();
  let horizonMs = Number.POSITIVE_INFINITY;

  function remove(stream: StreamName): void {
    const known = entries.get(stream);
    if (!known) return;
    entries.delete(stream);
    if (known.isReady) ready = ready.without(keyOf(known.entry.runnableSince, stream));
    else later = later.without(keyOf(known.entry.dueAt, stream));
  }

  function makeReady(entry: Entry): void {
    entries.set(entry.stream, { entry, isReady: true });
    ready = ready.with(keyOf(entry.runnableSince, entry.stream), entry);
  }

  /** Drops the youngest entry: what is younger may now be missing. */
  function dropYoungest(): void {
    const candidates = [lastOf(later), lastOf(ready)].filter((entry) => entry !== undefined);
    const [youngest] = candidates.toSorted((left, right) => {
      return right.runnableSince - left.runnableSince;
    });
    if (!youngest) return;
    remove(youngest.stream);
    horizonMs = Math.min(horizonMs, youngest.runnableSince - 1);
  }

  function ripen(nowMs: TimeMs): void {
    for (let next = firstOf(later); next && next.dueAt <= nowMs; next = firstOf(later)) {
      remove(next.stream);
      makeReady(next);
    }
  }

  /** The oldest entry that is due and not beyond the horizon. */
  function oldestAt(nowMs: TimeMs): Entry | undefined {
    ripen(nowMs);
    const oldest = firstOf(ready);
    return oldest === undefined || oldest.runnableSince > horizonMs ? undefined : oldest;
  }

  return {
    offer: (stream, runnableSince, dueAt = runnableSince) => {
      remove(stream);
      const entry = { stream, runnableSince, dueAt };
      entries.set(stream, { entry, isReady: false });
      later = later.with(keyOf(dueAt, stream), entry);
      if (entries.size > ENTRIES_MAX) dropYoungest();
    },
    remove,
    take: (nowMs) => {
      const oldest = oldestAt(nowMs);
      if (oldest !== undefined) remove(oldest.stream);
      return oldest?.stream;
    },
    oldestMs: (nowMs) => oldestAt(nowMs)?.runnableSince,
    nextDueMs: () => firstOf(later)?.dueAt,
    horizonMs: () => horizonMs,
    setHorizon: (timeMs) => {
      horizonMs = timeMs;
    },
    size: () => entries.size,
  };
}
