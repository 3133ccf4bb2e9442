// Judges what watchers saw: over all resumptions each event once, in order, without a gap, and the
// same events as one who reads the whole history at the end.
import type { EntryOf, FinalEvent, FinalRuntime, HistoryEntry } from "./history.ts";
import { type Blame, grouped } from "./violation.ts";

type WatchEntry = EntryOf<"watch_opened"> | EntryOf<"watched"> | EntryOf<"bookmarked">;

interface Place {
  readonly revision: number;
  readonly index: number;
}

function isWatch(entry: HistoryEntry): entry is WatchEntry {
  return entry.type === "watch_opened" || entry.type === "watched" || entry.type === "bookmarked";
}

function compare(left: Place, right: Place): number {
  return left.revision - right.revision || left.index - right.index;
}

function named(place: Place): string {
  return `${place.revision}.${place.index}`;
}

/** The end of a whole revision, however many events it has. */
function endOf(revision: number): Place {
  return { revision, index: Number.MAX_SAFE_INTEGER };
}

function openedAt(entry: EntryOf<"watch_opened">): Place {
  return entry.index < 0 ? endOf(entry.revision) : entry;
}

/** The events of a reader from the beginning must themselves be whole and in order. */
function judgeReplay(runtime: FinalRuntime, blame: Blame): void {
  let last: Place = { revision: 0, index: -1 };
  for (const event of runtime.events) {
    if (compare(event, last) <= 0) blame("watch_repeat", `replay: ${named(event)}`);
    const isNext =
      event.revision === last.revision
        ? event.index === last.index + 1
        : event.index === 0 && event.revision === last.revision + 1;
    if (!isNext) blame("watch_gap", `replay: ${named(event)} after ${named(last)}`);
    last = event;
  }
  if (last.revision !== runtime.revision) {
    blame("watch_gap", `replay ends at ${last.revision}, the runtime is at ${runtime.revision}`);
  }
}

/** The position up to which a watcher has everything, as its entries tell. */
function reached(entries: readonly WatchEntry[], start: Place): Place {
  let furthest = start;
  for (const entry of entries) {
    if (entry.type === "watch_opened") continue;
    const place = entry.type === "watched" ? entry : endOf(entry.revision);
    if (compare(place, furthest) > 0) furthest = place;
  }
  return furthest;
}

function judgeOrderOf(watcher: string, entries: readonly WatchEntry[], blame: Blame): void {
  let last: Place | undefined;
  for (const entry of entries) {
    if (entry.type === "watch_opened") continue;
    if (entry.type === "watched") {
      if (last !== undefined && compare(entry, last) <= 0) {
        blame("watch_repeat", `${watcher}: ${named(entry)} after ${named(last)}`);
      }
      last = entry;
    } else {
      const place = endOf(entry.revision);
      if (last !== undefined && compare(place, last) < 0) {
        blame("watch_repeat", `${watcher}: bookmark ${entry.revision} after ${named(last)}`);
      }
      last = place;
    }
  }
}

function judgeWatcher(
  watcher: string,
  entries: readonly WatchEntry[],
  replay: readonly FinalEvent[],
  blame: Blame,
): void {
  const [opened] = entries;
  if (opened?.type !== "watch_opened") {
    blame("watch_gap", `${watcher}: saw something before it began`);
    return;
  }
  judgeOrderOf(watcher, entries, blame);
  const seen = new Map<string, EntryOf<"watched">>();
  for (const entry of entries) if (entry.type === "watched") seen.set(named(entry), entry);
  const start = openedAt(opened);
  const end = reached(entries, start);
  for (const event of replay) {
    if (compare(event, start) <= 0 || compare(event, end) > 0) continue;
    const entry = seen.get(named(event));
    if (entry === undefined) blame("watch_gap", `${watcher}: ${named(event)} ${event.eventCode}`);
    else if (entry.eventId !== event.eventId || entry.eventCode !== event.eventCode) {
      blame("watch_differs", `${watcher}: ${named(event)} ${entry.eventCode}`);
    }
    seen.delete(named(event));
  }
  for (const place of seen.keys()) blame("watch_differs", `${watcher}: ${place} is in no history`);
}

/** Judges the watchers of one runtime. */
export function judgeWatches(
  entries: readonly HistoryEntry[],
  runtime: FinalRuntime,
  blame: Blame,
): void {
  judgeReplay(runtime, blame);
  for (const [watcher, seen] of grouped(entries.filter(isWatch), (entry) => entry.watcher)) {
    judgeWatcher(watcher, seen, runtime.events, blame);
  }
}
