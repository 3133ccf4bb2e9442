// A small history of processes without a fault, made up by hand: a job that one worker gave back
// and another one finished, a process that was cancelled as the orphan of a deleted session, and
// one that its client ended. The checker's tests break it, one promise at a time.
import type {
  FinalProcess,
  FinalProcessEvent,
  ProcessEntry,
  ProcessHistory,
} from "./process-history.ts";

function event(
  sequence: number,
  revision: number,
  key: string,
  rest: Partial<FinalProcessEvent> = {},
): FinalProcessEvent {
  const nothing = { eventType: "step", generation: 0, terminalState: "", wakeRuntimeId: "" };
  return { sequence, revision, key, content: `content of ${key}`, ...nothing, ...rest };
}

const COMPLETED = "PROCESS_STATE_COMPLETED";
const CANCELLED = "PROCESS_STATE_CANCELLED";

/** The job. */
export const JOB: FinalProcess = {
  processId: "job",
  revision: 9,
  state: COMPLETED,
  generation: 2,
  end: { state: COMPLETED, output: "bob@2", sequence: 4 },
  lastSequence: 4,
  events: [
    event(1, 3, "one", { generation: 1 }),
    event(2, 4, "two", { eventType: "news", wakeRuntimeId: "north" }),
    event(3, 7, "three", { eventType: "news", wakeRuntimeId: "north", generation: 2 }),
    event(4, 8, "end", { eventType: "process.completed", generation: 2, terminalState: COMPLETED }),
  ],
  sessionIds: ["east"],
};

/** The process that is an orphan in the end. */
export const ORPHAN: FinalProcess = {
  processId: "orphan",
  revision: 4,
  state: CANCELLED,
  generation: 0,
  end: { state: CANCELLED, output: "carl", sequence: 2 },
  lastSequence: 2,
  events: [
    event(1, 3, "cancel", {
      eventType: "process.cancel_requested",
      content: '{"reason":"session deleted"}',
    }),
    event(2, 4, "end", { eventType: "process.cancelled", terminalState: CANCELLED }),
  ],
  sessionIds: [],
};

/** The process that stays granted. */
export const SHARED: FinalProcess = {
  processId: "shared",
  revision: 4,
  state: COMPLETED,
  generation: 0,
  end: { state: COMPLETED, output: "carl", sequence: 1 },
  lastSequence: 1,
  events: [event(1, 4, "end", { eventType: "process.completed", terminalState: COMPLETED })],
  sessionIds: ["north"],
};

const hold = (worker: string, generation: number) => {
  return { worker, incarnationId: "1", processId: "job", generation };
};

/** How an append of the job is answered. */
export function appendedEntry(sequence: number, writer: string, replayed = false): ProcessEntry {
  const { key, content, generation, revision } = JOB.events[sequence - 1] ?? event(0, 0, "");
  const place = { sequence, revision, replayed };
  return { type: "appended", writer, processId: "job", key, content, generation, ...place };
}

const watched = (process: FinalProcess, revision: number, count: number): ProcessEntry => {
  const { processId } = process;
  const isOver = process.events[count - 1]?.terminalState !== "";
  const state = count > 0 && isOver ? process.state : "PROCESS_STATE_RUNNING";
  return { type: "watched", watcher: "wendy", processId, revision, state, lastSequence: count };
};

function followed(sequence: number): ProcessEntry {
  const { eventType = "" } = JOB.events[sequence - 1] ?? {};
  return { type: "followed", watcher: "fred", processId: "job", sequence, eventType };
}

const follower = { watcher: "fred", processId: "job" } as const;

const ENTRIES: readonly ProcessEntry[] = [
  { type: "watch_opened", watcher: "wendy" },
  ...["job", "orphan", "shared"].map((processId): ProcessEntry => {
    return { type: "registered", processId };
  }),
  { type: "granting", processId: "job", sessionId: "north" },
  { type: "granted", processId: "job", sessionId: "north" },
  { type: "claimed", ...hold("ann", 1), leaseToken: "first", revision: 2 },
  appendedEntry(1, "ann"),
  appendedEntry(2, "carl"),
  appendedEntry(2, "carl", true),
  { type: "released", ...hold("ann", 1), revision: 5 },
  { type: "refused", ...hold("ann", 1), reason: "LEASE_LOST" },
  { type: "claimed", ...hold("bob", 2), leaseToken: "second", revision: 6 },
  { type: "follow_opened", ...follower, afterSequence: 0 },
  followed(1),
  followed(2),
  watched(JOB, 4, 2),
  { type: "watch_opened", watcher: "wendy" },
  watched(JOB, 3, 1),
  appendedEntry(3, "bob"),
  {
    type: "completed",
    ...hold("bob", 2),
    state: COMPLETED,
    output: "bob@2",
    sequence: 4,
  },
  { type: "follow_opened", ...follower, afterSequence: 2 },
  followed(3),
  followed(4),
  { type: "awaited", processId: "job", state: COMPLETED, output: "bob@2", sequence: 4 },
  { type: "moved", processIds: ["job"], from: "north", to: "east" },
  ...["orphan", "shared"].flatMap((processId): readonly ProcessEntry[] => [
    { type: "granting", processId, sessionId: "doomed" },
    { type: "granted", processId, sessionId: "doomed" },
  ]),
  { type: "granting", processId: "shared", sessionId: "north" },
  { type: "granted", processId: "shared", sessionId: "north" },
  { type: "deleting", sessionId: "doomed" },
  { type: "deleted", sessionId: "doomed", cancelled: ["orphan"], preserved: ["shared"] },
  { type: "awaited", processId: "orphan", state: CANCELLED, output: "carl", sequence: 2 },
  watched(JOB, 9, 4),
  watched(ORPHAN, 4, 2),
  watched(SHARED, 4, 1),
];

/** A history in which every promise is kept. */
export const SOUND_PROCESSES: ProcessHistory = {
  entries: ENTRIES,
  processes: [JOB, ORPHAN, SHARED],
  inboxes: [
    { runtimeId: "north", keys: ["process:job:event:2:wake", "other", "process:job:event:3:wake"] },
    { runtimeId: "east", keys: [] },
  ],
  handles: [
    { sessionId: "north", processIds: ["shared"] },
    { sessionId: "east", processIds: ["job"] },
  ],
};

/** The sound history with other facts of the job. */
export function withJob(changes: Partial<FinalProcess>): ProcessHistory {
  return { ...SOUND_PROCESSES, processes: [{ ...JOB, ...changes }, ORPHAN, SHARED] };
}

/** The sound history with one event of the job changed. */
export function withJobEvent(
  sequence: number,
  changes: Partial<FinalProcessEvent>,
): ProcessHistory {
  const events = JOB.events.map((one) =>
    one.sequence === sequence ? { ...one, ...changes } : one,
  );
  return withJob({ events });
}

/** The sound history with further entries at its end. */
export function withProcessEntries(...entries: readonly ProcessEntry[]): ProcessHistory {
  return { ...SOUND_PROCESSES, entries: [...ENTRIES, ...entries] };
}

/** The sound history with each entry as the function makes it, or without it. */
export function withEntriesAs(
  change: (entry: ProcessEntry) => ProcessEntry | undefined,
): ProcessHistory {
  return { ...SOUND_PROCESSES, entries: ENTRIES.flatMap((entry) => change(entry) ?? []) };
}
