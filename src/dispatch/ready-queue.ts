/**
 * Runtimes with work, oldest first, per pool. Bounded: what does not fit is found again by the
 * poll of the views. Entries are hints: whether a run starts is decided by the stream's own commit.
 */
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import { emptyOrderedMap, type OrderedMap } from "../core/shared/ordered-map.ts";

const ENTRIES_MAX = 5000;

/** Runnable runtimes of one pool, oldest first. */
export interface ReadyQueue {
  /** Adds or moves a runtime; `runnableSince` may lie in the future. */
  readonly offer: (stream: StreamName, runnableSince: TimeMs) => void;
  readonly remove: (stream: StreamName) => void;
  /** Takes the oldest runtime that is due. */
  readonly take: (nowMs: TimeMs) => StreamName | undefined;
  /** When the next one is due; `undefined` when there is none. */
  readonly nextDueMs: () => TimeMs | undefined;
  readonly size: () => number;
}

/** Order: time first, then name. */
function keyOf(stream: StreamName, runnableSince: TimeMs): string {
  return `${String(runnableSince).padStart(16, "0")} ${stream}`;
}

/** Makes an empty queue. */
export function makeReadyQueue(): ReadyQueue {
  const since = new Map<StreamName, TimeMs>();
  let order: OrderedMap<string, StreamName> = emptyOrderedMap();

  function remove(stream: StreamName): void {
    const known = since.get(stream);
    if (known === undefined) return;
    since.delete(stream);
    order = order.without(keyOf(stream, known));
  }

  return {
    offer: (stream, runnableSince) => {
      remove(stream);
      since.set(stream, runnableSince);
      order = order.with(keyOf(stream, runnableSince), stream);
      if (since.size <= ENTRIES_MAX) return;
      const newest = order.get(order.maxKey() ?? "");
      if (newest !== undefined) remove(newest);
    },
    remove,
    take: (nowMs) => {
      const oldest = order.get(order.minKey() ?? "");
      if (oldest === undefined || (since.get(oldest) ?? 0) > nowMs) return undefined;
      remove(oldest);
      return oldest;
    },
    nextDueMs: () => {
      const oldest = order.get(order.minKey() ?? "");
      return oldest === undefined ? undefined : since.get(oldest);
    },
    size: () => since.size,
  };
}
