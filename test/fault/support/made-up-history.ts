// A small history without a fault, made up by hand: two runtimes, three inputs, an executor that
// took one run twice, and a watcher that resumed once. The checker's tests break it, one promise at
// a time.
import type {
  FinalEvent,
  FinalInput,
  FinalRuntime,
  HistoryEntry,
  RecordedHistory,
} from "./history.ts";

const HASH = "ab".repeat(32);

function event(revision: number, index: number, rest: Partial<FinalEvent>): FinalEvent {
  const nothing = { eventCode: "", generation: 0, holder: "", runId: "", inputId: "" };
  return { revision, index, eventId: `${revision}.${index}`, ...nothing, ...rest };
}

function input(rest: Pick<FinalInput, "inputId" | "key"> & Partial<FinalInput>): FinalInput {
  return {
    content: `content of ${rest.key}`,
    state: "consumed",
    admittedRevision: 2,
    attemptCount: 1,
    consumedByRunId: "",
    replacedByInputId: "",
    abandonReason: "",
    ...rest,
  };
}

const grant = { eventCode: "executor.lease_granted" } as const;

const EVENTS: readonly FinalEvent[] = [
  event(1, 0, { eventCode: "topology.runtime_created" }),
  event(2, 0, { eventCode: "input.accepted", inputId: "input-a" }),
  event(2, 1, { eventCode: "input.accepted", inputId: "input-b" }),
  event(3, 0, { ...grant, generation: 1, holder: "ann/1" }),
  event(3, 1, { eventCode: "run.started", runId: "run-1" }),
  event(4, 0, { eventCode: "run.returned", runId: "run-1" }),
  event(5, 0, { ...grant, generation: 2, holder: "bob/1" }),
  event(5, 1, { eventCode: "run.started", runId: "run-2" }),
  event(6, 0, { eventCode: "run.boundary_committed", runId: "run-2" }),
  event(7, 0, { eventCode: "run.completed", runId: "run-2" }),
  event(7, 1, { eventCode: "input.consumed", runId: "run-2", inputId: "input-a" }),
  event(8, 0, { eventCode: "input.accepted", inputId: "input-c" }),
  event(8, 1, { eventCode: "input.superseded", inputId: "input-b" }),
  event(9, 0, { ...grant, generation: 3, holder: "ann/1" }),
  event(9, 1, { eventCode: "run.started", runId: "run-3" }),
  event(10, 0, { eventCode: "run.failed", runId: "run-3" }),
  event(10, 1, { eventCode: "input.abandoned", inputId: "input-c" }),
];

const RUNTIME: FinalRuntime = {
  runtimeId: "desk",
  revision: 10,
  attemptLimit: 3,
  currentRunId: "",
  counts: { accepted: 3, consumed: 1, superseded: 1, coalesced: 0, abandoned: 1, live: 0 },
  inputs: [
    input({ inputId: "input-a", key: "key-a", consumedByRunId: "run-2" }),
    input({
      inputId: "input-b",
      key: "key-b",
      state: "superseded",
      replacedByInputId: "input-c",
    }),
    input({
      inputId: "input-c",
      key: "key-c",
      state: "abandoned",
      admittedRevision: 8,
      abandonReason: "run_failed",
    }),
  ],
  receipts: [
    {
      runId: "run-2",
      sequence: 0,
      inputIds: ["input-a"],
      commitHash: HASH,
      revision: 6,
      isLoadedAlike: true,
    },
  ],
  events: EVENTS,
  isVerified: true,
};

const run = (executorId: string, runId: string, generation: number) => {
  return { executorId, incarnationId: "1", runtimeId: "desk", runId, generation };
};

const said = { client: "carl", runtimeId: "desk" } as const;

function seen(index: number): HistoryEntry {
  const { revision, index: place, eventId, eventCode } = EVENTS[index] ?? event(0, 0, {});
  const watched = { type: "watched", watcher: "wendy", runtimeId: "desk" } as const;
  return { ...watched, revision, index: place, eventId, eventCode };
}

/** How the entries of a key say that it was sent and accepted. */
export function acceptedEntries(
  key: string,
  inputId: string,
  revision: number,
  order: number | null,
): readonly HistoryEntry[] {
  const content = `content of ${key}`;
  return [
    { type: "sent", ...said, key, content, order },
    { type: "answered", ...said, key, content, outcome: { kind: "accepted", inputId, revision } },
  ];
}

const ENTRIES: readonly HistoryEntry[] = [
  ...acceptedEntries("key-a", "input-a", 2, 0),
  ...acceptedEntries("key-b", "input-b", 2, 1),
  {
    type: "answered",
    ...said,
    key: "key-a",
    content: "another content",
    outcome: { kind: "deduplicated", existingId: "input-a", sameContent: false },
  },
  { type: "assigned", ...run("ann", "run-1", 1), attempt: 1, inputIds: ["input-a"] },
  { type: "assigned", ...run("bob", "run-2", 2), attempt: 1, inputIds: ["input-a"] },
  { type: "refused", ...run("ann", "run-1", 1), reason: "LEASE_LOST" },
  {
    type: "boundary",
    ...run("bob", "run-2", 2),
    sequence: 0,
    inputIds: ["input-a"],
    commitHash: HASH,
    revision: 6,
  },
  { type: "ended", ...run("bob", "run-2", 2), how: "completed", text: "run-2:done" },
  { type: "awaited", ...said, key: "key-a", completion: { kind: "completed", text: "run-2:done" } },
  ...acceptedEntries("key-c", "input-c", 8, 2),
  { type: "ended", ...run("ann", "run-3", 3), how: "failed", text: "" },
  { type: "watch_opened", watcher: "wendy", runtimeId: "desk", revision: 1, index: -1 },
  ...[1, 2, 3, 4].map(seen),
  { type: "watch_opened", watcher: "wendy", runtimeId: "desk", revision: 3, index: 1 },
  ...[5].map(seen),
  { type: "bookmarked", watcher: "wendy", runtimeId: "desk", revision: 4 },
  ...[6, 7, 8, 9].map(seen),
];

/** A history in which every promise is kept. */
export const SOUND_HISTORY: RecordedHistory = { entries: ENTRIES, runtimes: [RUNTIME] };

/** The sound history with other facts of its one runtime. */
export function withRuntime(changes: Partial<FinalRuntime>): RecordedHistory {
  return { ...SOUND_HISTORY, runtimes: [{ ...RUNTIME, ...changes }] };
}

/** The sound history with further entries at its end. */
export function withEntries(...entries: readonly HistoryEntry[]): RecordedHistory {
  return { ...SOUND_HISTORY, entries: [...ENTRIES, ...entries] };
}

/** The sound history without the entries that `isGone` names. */
export function withoutEntries(isGone: (entry: HistoryEntry) => boolean): RecordedHistory {
  return { ...SOUND_HISTORY, entries: ENTRIES.filter((entry) => !isGone(entry)) };
}

/** The one runtime of the sound history. */
export const SOUND_RUNTIME = RUNTIME;
