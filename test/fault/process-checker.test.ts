// The checker of processes finds every kind of broken promise, and nothing in a sound history. Each
// case breaks one thing in a history that was made up by hand.
import { expect, test } from "vitest";
import {
  JOB,
  ORPHAN,
  SHARED,
  SOUND_PROCESSES,
  appendedEntry,
  withEntriesAs,
  withJob,
  withJobEvent,
  withProcessEntries,
} from "./support/made-up-processes.ts";
import { checkProcesses } from "./support/process-checker.ts";
import type { FinalProcess, ProcessEntry, ProcessHistory } from "./support/process-history.ts";
import { PROCESS_RULES, type ProcessRule } from "./support/process-violation.ts";

const ann = { worker: "ann", incarnationId: "1", processId: "job", generation: 1 } as const;
const bob = { worker: "bob", incarnationId: "1", processId: "job", generation: 2 } as const;
const fred = { watcher: "fred", processId: "job" } as const;
const ended = { state: JOB.state, output: "bob@2", sequence: 4 } as const;
const [first, second, third, end] = JOB.events;
if (!first || !second || !third || !end) throw new Error("the made-up history is too small");

function withOrphan(changes: Partial<FinalProcess>): ProcessHistory {
  return { ...SOUND_PROCESSES, processes: [JOB, { ...ORPHAN, ...changes }, SHARED] };
}

function withInbox(...keys: readonly string[]): ProcessHistory {
  return { ...SOUND_PROCESSES, inboxes: [{ runtimeId: "north", keys }] };
}

/** The first event as written after the third one. */
const firstByBob = appendedEntry(1, "bob");

/** The sound history with the deletion's report as given. */
function withReport(cancelled: readonly string[], preserved: readonly string[]): ProcessHistory {
  return withEntriesAs((entry) => {
    if (entry.type !== "deleted") return entry;
    return { ...entry, cancelled: [...cancelled], preserved: [...preserved] };
  });
}

function isFollowed(entry: ProcessEntry, sequence: number): boolean {
  return entry.type === "followed" && entry.sequence === sequence;
}

const [two, three] = ["process:job:event:2:wake", "process:job:event:3:wake"] as const;

interface BrokenCase {
  readonly rule: ProcessRule;
  readonly name: string;
  readonly history: ProcessHistory;
}

const CASES: readonly BrokenCase[] = [
  {
    rule: "process_lost",
    name: "a registered process is not there",
    history: withProcessEntries({ type: "registered", processId: "gone" }),
  },
  {
    rule: "process_not_finished",
    name: "a process runs for ever",
    history: { ...SOUND_PROCESSES, processes: [JOB, ORPHAN, runningOf(SHARED)] },
  },
  {
    rule: "event_lost",
    name: "an acknowledged event is not there",
    history: withJobEvent(3, { key: "another" }),
  },
  {
    rule: "event_lost",
    name: "an acknowledged event is of another commit",
    history: withJobEvent(1, { revision: 4 }),
  },
  {
    rule: "event_doubled",
    name: "one key has two events",
    history: withJobEvent(3, { key: "two" }),
  },
  {
    rule: "event_doubled",
    name: "a key was new twice",
    history: withProcessEntries(appendedEntry(2, "carl too")),
  },
  {
    rule: "event_doubled",
    name: "an orphan was asked to cancel twice",
    history: withOrphan({
      events: ORPHAN.events.flatMap((one) => {
        return one.sequence === 1 ? [one, { ...one, key: "again" }] : [one];
      }),
    }),
  },
  {
    rule: "event_altered",
    name: "an event says something else",
    history: withJobEvent(2, { content: "other" }),
  },
  {
    rule: "event_out_of_order",
    name: "events of one writer changed places",
    history: { ...SOUND_PROCESSES, entries: [...SOUND_PROCESSES.entries, firstByBob] },
  },
  {
    rule: "event_out_of_order",
    name: "an event is of an earlier commit than the one before",
    history: withJobEvent(3, { revision: 2 }),
  },
  {
    rule: "sequence_gap",
    name: "a sequence is left out",
    history: withJob({ events: [first, third, end] }),
  },
  {
    rule: "sequence_gap",
    name: "the process has fewer events than it says",
    history: withJob({ lastSequence: 5 }),
  },
  {
    rule: "ended_twice",
    name: "two events end the process",
    history: withJobEvent(3, { terminalState: "PROCESS_STATE_FAILED" }),
  },
  {
    rule: "ended_twice",
    name: "the end is another one than the event says",
    history: withJobEvent(4, { terminalState: "PROCESS_STATE_FAILED" }),
  },
  {
    rule: "completion_lost",
    name: "an accepted completion is not how it ended",
    history: withProcessEntries({ type: "completed", ...ann, ...ended, output: "ann@1" }),
  },
  {
    rule: "generation_shared",
    name: "two workers got the same generation",
    history: withProcessEntries({ type: "claimed", ...bob, ...claim(6), worker: "ann" }),
  },
  {
    rule: "generation_shared",
    name: "a later hold has a lower generation",
    history: withProcessEntries({ type: "claimed", ...ann, ...claim(7) }),
  },
  {
    rule: "stale_lease_accepted",
    name: "a completion of a former holder ended it",
    history: withJobEvent(4, { generation: 1 }),
  },
  {
    rule: "stale_lease_accepted",
    name: "an event was taken after the hold was given back",
    history: withJobEvent(1, { revision: 6 }),
  },
  {
    rule: "stale_lease_accepted",
    name: "an event has another generation than it was sent with",
    history: withEntriesAs((entry) => {
      const isThird = entry.type === "appended" && entry.sequence === 3;
      return isThird ? { ...entry, generation: 1 } : entry;
    }),
  },
  {
    rule: "stale_lease_accepted",
    name: "a completion was accepted from another generation than ended it",
    history: withProcessEntries({ type: "completed", ...ann, ...ended }),
  },
  {
    rule: "wrong_await",
    name: "a waiter was told another output",
    history: withProcessEntries({ type: "awaited", processId: "job", ...ended, output: "ann@1" }),
  },
  {
    rule: "wrong_await",
    name: "a waiter was told an end that never came",
    history: {
      ...withProcessEntries({ type: "awaited", processId: "shared", ...ended }),
      processes: [JOB, ORPHAN, runningOf(SHARED)],
    },
  },
  {
    rule: "grant_lost",
    name: "a moved grant is nowhere",
    history: withJob({ sessionIds: [] }),
  },
  {
    rule: "grant_lost",
    name: "a session does not list a grant",
    history: { ...SOUND_PROCESSES, handles: [{ sessionId: "east", processIds: [] }] },
  },
  {
    rule: "grant_doubled",
    name: "a moved grant is where it was, too",
    history: withJob({ sessionIds: ["east", "north"] }),
  },
  {
    rule: "grant_doubled",
    name: "a session lists a grant that it gave away",
    history: {
      ...SOUND_PROCESSES,
      handles: [{ sessionId: "north", processIds: ["job", "shared"] }],
    },
  },
  {
    rule: "grant_doubled",
    name: "a grant is there after it was revoked",
    history: withProcessEntries({ type: "revoked", processId: "job", sessionId: "east" }),
  },
  {
    rule: "granted_cancelled",
    name: "a process was cancelled that another session holds",
    history: withReport(["orphan", "shared"], []),
  },
  {
    rule: "granted_cancelled",
    name: "a process was cancelled as an orphan that nobody was told of",
    history: withReport([], ["orphan", "shared"]),
  },
  {
    rule: "orphan_forgotten",
    name: "a process that nobody holds was preserved",
    history: withReport([], ["orphan", "shared"]),
  },
  {
    rule: "orphan_forgotten",
    name: "a process that was told to be cancelled is not",
    history: withOrphan({ events: ORPHAN.events.map((one) => ({ ...one, content: "" })) }),
  },
  { rule: "wake_lost", name: "a wake never came", history: withInbox(two) },
  { rule: "wake_doubled", name: "a wake came twice", history: withInbox(two, two, three) },
  {
    rule: "wake_doubled",
    name: "a wake came of an event that wakes nobody",
    history: withInbox(two, three, "process:job:event:1:wake"),
  },
  { rule: "wake_out_of_order", name: "wakes changed places", history: withInbox(three, two) },
  {
    rule: "watch_gap",
    name: "a follower missed an event",
    history: withEntriesAs((entry) => (isFollowed(entry, 3) ? undefined : entry)),
  },
  {
    rule: "watch_gap",
    name: "a follower never saw the end",
    history: withEntriesAs((entry) => (isFollowed(entry, 4) ? undefined : entry)),
  },
  {
    rule: "watch_gap",
    name: "a follower resumed behind what it saw",
    history: withEntriesAs((entry) => {
      return entry.type === "follow_opened" && entry.afterSequence === 2
        ? { ...entry, afterSequence: 3 }
        : entry;
    }),
  },
  {
    rule: "watch_gap",
    name: "a watcher never heard of the last change",
    history: withEntriesAs((entry) => {
      return entry.type === "watched" && entry.revision === 9 ? undefined : entry;
    }),
  },
  {
    rule: "watch_repeat",
    name: "a follower got an event twice",
    history: withProcessEntries({ type: "followed", ...fred, sequence: 4, eventType: "end" }),
  },
  {
    rule: "watch_repeat",
    name: "a watcher got an earlier revision in the same stream",
    history: withProcessEntries({
      type: "watched",
      watcher: "wendy",
      processId: "job",
      revision: 8,
      state: JOB.state,
      lastSequence: 4,
    }),
  },
  {
    rule: "watch_differs",
    name: "a follower got an event of another type",
    history: withEntriesAs((entry) => {
      return isFollowed(entry, 3) ? { ...entry, eventType: "step" } : entry;
    }),
  },
  {
    rule: "watch_differs",
    name: "a watcher was told fewer events than there were",
    history: withEntriesAs((entry) => {
      return entry.type === "watched" && entry.revision === 9
        ? { ...entry, lastSequence: 3 }
        : entry;
    }),
  },
];

function runningOf({ end: _end, ...process }: FinalProcess): FinalProcess {
  return { ...process, state: "PROCESS_STATE_RUNNING", events: [], lastSequence: 0 };
}

function claim(revision: number) {
  return { leaseToken: "third", revision };
}

test("a sound history breaks no promise", () => {
  expect(checkProcesses(SOUND_PROCESSES)).toEqual([]);
});

test.each(CASES)("$rule: $name", ({ rule, history }) => {
  expect(new Set(checkProcesses(history).map((violation) => violation.rule))).toContain(rule);
});

test("every rule has a case that breaks it", () => {
  expect(new Set(CASES.map((broken) => broken.rule))).toEqual(new Set(PROCESS_RULES));
});
