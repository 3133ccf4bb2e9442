// Judges what watchers of processes saw. A follower of one process gets every event once and in
// order, up to the end. A watcher of all gets no process at an earlier revision than before in the
// same stream, each as it was then, and each as it is in the end.
import {
  type FinalProcess,
  type ProcessEntry,
  processEntriesOf,
  type ProcessEntryOf,
  type ProcessHistory,
} from "./process-history.ts";
import type { ProcessBlame } from "./process-violation.ts";
import { grouped } from "./violation.ts";

type FollowEntry = ProcessEntryOf<"follow_opened"> | ProcessEntryOf<"followed">;
type WatchEntry = ProcessEntryOf<"watch_opened"> | ProcessEntryOf<"watched">;

function judgeFollower(
  watcher: string,
  entries: readonly FollowEntry[],
  { processId, events, end }: FinalProcess,
  blame: ProcessBlame,
): void {
  let last = 0;
  for (const entry of entries) {
    if (entry.type === "follow_opened") {
      if (entry.afterSequence !== last) {
        blame("watch_gap", processId, `${watcher} resumed after ${entry.afterSequence}`);
      }
      continue;
    }
    const { sequence, eventType } = entry;
    const place = `${watcher}: event ${sequence} after ${last}`;
    if (sequence <= last) blame("watch_repeat", processId, place);
    if (sequence > last + 1) blame("watch_gap", processId, place);
    if (events.find((event) => event.sequence === sequence)?.eventType !== eventType) {
      blame("watch_differs", processId, `${watcher}: event ${sequence}, ${eventType}`);
    }
    last = sequence;
  }
  if (last < (end?.sequence ?? 0)) blame("watch_gap", processId, `${watcher} ended at ${last}`);
}

/** Judges the followers of one process. */
export function judgeFollowers(
  entries: readonly ProcessEntry[],
  process: FinalProcess,
  blame: ProcessBlame,
): void {
  const followed = entries.filter((entry): entry is FollowEntry => {
    return entry.type === "follow_opened" || entry.type === "followed";
  });
  for (const [watcher, seen] of grouped(followed, (entry) => entry.watcher)) {
    judgeFollower(watcher, seen, process, blame);
  }
}

/** Judges a process as a watcher was told of it. */
function judgeSight(
  { watcher, processId, revision, state, lastSequence }: ProcessEntryOf<"watched">,
  process: FinalProcess,
  blame: ProcessBlame,
): void {
  const events = process.events.filter((event) => event.revision <= revision);
  const ended = events.find(({ terminalState }) => terminalState !== "");
  const isAsItWas =
    revision <= process.revision &&
    lastSequence === events.length &&
    (ended === undefined || ended.terminalState === state);
  if (!isAsItWas) {
    const told = `${state} at ${revision} with ${lastSequence} events`;
    blame("watch_differs", processId, `${watcher}: ${told}`);
  }
}

function judgeWatcher(
  watcher: string,
  entries: readonly WatchEntry[],
  processes: ReadonlyMap<string, FinalProcess>,
  blame: ProcessBlame,
): void {
  const told = new Map<string, number>();
  const furthest = new Map<string, number>();
  for (const entry of entries) {
    if (entry.type === "watch_opened") {
      told.clear();
      continue;
    }
    const { processId, revision } = entry;
    const before = told.get(processId) ?? 0;
    if (revision < before) {
      blame("watch_repeat", processId, `${watcher}: revision ${revision} after ${before}`);
    }
    told.set(processId, revision);
    furthest.set(processId, Math.max(furthest.get(processId) ?? 0, revision));
    const process = processes.get(processId);
    if (process === undefined) blame("watch_differs", processId, `${watcher}: there is none`);
    else judgeSight(entry, process, blame);
  }
  for (const { processId, revision } of processes.values()) {
    const seen = furthest.get(processId) ?? 0;
    if (seen >= revision) continue;
    blame("watch_gap", processId, `${watcher} saw revision ${seen} of ${revision}`);
  }
}

/** Judges the watchers of all processes. */
export function judgeProcessWatchers(history: ProcessHistory, blame: ProcessBlame): void {
  const processes = new Map(history.processes.map((process) => [process.processId, process]));
  const watched = [
    ...processEntriesOf(history.entries, "watch_opened"),
    ...processEntriesOf(history.entries, "watched"),
  ];
  const watchers = new Set(watched.map(({ watcher }) => watcher));
  for (const watcher of watchers) {
    const entries = history.entries.filter((entry): entry is WatchEntry => {
      const isWatch = entry.type === "watch_opened" || entry.type === "watched";
      return isWatch && entry.watcher === watcher;
    });
    judgeWatcher(watcher, entries, processes, blame);
  }
}
