// The checker finds every kind of broken promise, and nothing in a sound history. Each case breaks
// one thing in a history that was made up by hand.
import { expect, test } from "vitest";
import { checkHistory } from "./support/checker.ts";
import type { EntryOf, FinalEvent, HistoryEntry, RecordedHistory } from "./support/history.ts";
import {
  acceptedEntries,
  SOUND_HISTORY,
  SOUND_RUNTIME,
  withEntries,
  withoutEntries,
  withRuntime,
} from "./support/made-up-history.ts";
import { RULES, type Rule } from "./support/violation.ts";

const { inputs, receipts, events, counts } = SOUND_RUNTIME;
const [inputA, inputB, inputC] = inputs;
const [receipt] = receipts;
if (!inputA || !inputB || !inputC || !receipt) throw new Error("the made-up history is too small");

const bob = { executorId: "bob", incarnationId: "1", runtimeId: "desk" } as const;
const wendy = { watcher: "wendy", runtimeId: "desk" } as const;
const carl = { client: "carl", runtimeId: "desk" } as const;

function isSeen(entry: HistoryEntry, revision: number): boolean {
  return entry.type === "watched" && entry.revision === revision;
}

function deduplicated(existingId: string, content: string, sameContent: boolean): HistoryEntry {
  const outcome = { kind: "deduplicated", existingId, sameContent } as const;
  return { type: "answered", ...carl, key: "key-a", content, outcome };
}

function lastEvent(changes: Partial<FinalEvent>): FinalEvent {
  const nothing = { generation: 0, holder: "", runId: "", inputId: "" };
  const place = { revision: 10, index: 2, eventId: "10.2", eventCode: "run.acknowledged" };
  return { ...place, ...nothing, ...changes };
}

const boundary: EntryOf<"boundary"> = {
  type: "boundary",
  ...bob,
  runId: "run-2",
  generation: 2,
  sequence: 0,
  inputIds: ["input-a"],
  commitHash: receipt.commitHash,
  revision: 6,
};

interface BrokenCase {
  readonly rule: Rule;
  readonly name: string;
  readonly history: RecordedHistory;
}

const CASES: readonly BrokenCase[] = [
  {
    rule: "acknowledged_and_lost",
    name: "an accepted input is not there",
    history: withEntries(...acceptedEntries("key-d", "input-d", 9, null)),
  },
  {
    rule: "acknowledged_and_lost",
    name: "an accepted input was admitted at another revision than told",
    history: withRuntime({ inputs: [{ ...inputA, admittedRevision: 1 }, inputB, inputC] }),
  },
  {
    rule: "acknowledged_and_lost",
    name: "a whole runtime with answers is not there",
    history: { ...SOUND_HISTORY, runtimes: [] },
  },
  {
    rule: "admitted_twice",
    name: "one key has two inputs",
    history: withRuntime({
      inputs: [...inputs, { ...inputC, inputId: "input-d" }],
      counts: { ...counts, accepted: 4, abandoned: 2 },
      events: [...events, lastEvent({ eventCode: "input.accepted", inputId: "input-d" })],
    }),
  },
  {
    rule: "content_altered",
    name: "an accepted input says something else",
    history: withRuntime({ inputs: [inputA, { ...inputB, content: "other" }, inputC] }),
  },
  {
    rule: "wrong_dedup_answer",
    name: "a repeated key was answered with another input",
    history: withEntries(deduplicated("input-c", "another content", false)),
  },
  {
    rule: "wrong_dedup_answer",
    name: "another content was called the same",
    history: withEntries(deduplicated("input-a", "another content", true)),
  },
  {
    rule: "wrong_dedup_answer",
    name: "the same content was called another",
    history: withEntries(deduplicated("input-a", "content of key-a", false)),
  },
  {
    rule: "wrong_dedup_answer",
    name: "a key was accepted a second time",
    history: withEntries(...acceptedEntries("key-a", "input-a", 2, 0)),
  },
  {
    rule: "order_broken",
    name: "pipelined inputs changed places",
    history: withRuntime({ inputs: [inputB, inputA, inputC] }),
  },
  {
    rule: "wrong_completion",
    name: "a waiter got the result of another run",
    history: withEntries({
      type: "awaited",
      ...carl,
      key: "key-a",
      completion: { kind: "completed", text: "run-3:done" },
    }),
  },
  {
    rule: "wrong_completion",
    name: "a waiter of an abandoned input was told that it is done",
    history: withEntries({
      type: "awaited",
      ...carl,
      key: "key-c",
      completion: { kind: "completed_without_result" },
    }),
  },
  {
    rule: "consumed_twice",
    name: "two receipts name one input",
    history: withRuntime({ receipts: [receipt, { ...receipt, runId: "run-3" }] }),
  },
  {
    rule: "consumed_twice",
    name: "two executors were told that they applied one input",
    history: withEntries({ ...boundary, runId: "run-3", generation: 3, executorId: "ann" }),
  },
  {
    rule: "consumed_twice",
    name: "an input has two ends",
    history: withRuntime({
      events: [...events, lastEvent({ eventCode: "input.consumed", inputId: "input-a" })],
    }),
  },
  {
    rule: "consumed_without_receipt",
    name: "a consumed input has no receipt",
    history: {
      ...withRuntime({ receipts: [] }),
      entries: withoutEntries((entry) => entry.type === "boundary").entries,
    },
  },
  {
    rule: "fence_shared",
    name: "a generation was granted to two holders",
    history: withRuntime({
      events: [
        ...events,
        lastEvent({ eventCode: "executor.lease_granted", generation: 3, holder: "bob/1" }),
      ],
    }),
  },
  {
    rule: "fence_shared",
    name: "a write of another incarnation was accepted under the same generation",
    history: withEntries({ ...boundary, incarnationId: "2" }),
  },
  {
    rule: "stale_fence_accepted",
    name: "a boundary was accepted after a later grant",
    history: withEntries({ ...boundary, executorId: "ann", generation: 1, runId: "run-1" }),
  },
  {
    rule: "receipt_gap",
    name: "the receipts of a run begin at one",
    history: withRuntime({ receipts: [{ ...receipt, sequence: 1 }] }),
  },
  {
    rule: "receipt_lost",
    name: "an executor was given a receipt that is not there",
    history: withEntries({ ...boundary, sequence: 1, inputIds: [] }),
  },
  {
    rule: "receipt_lost",
    name: "an executor was given another hash",
    history: withEntries({ ...boundary, commitHash: "cd".repeat(32) }),
  },
  {
    rule: "receipt_lost",
    name: "a listed receipt cannot be loaded",
    history: withRuntime({ receipts: [{ ...receipt, isLoadedAlike: false }] }),
  },
  {
    rule: "run_not_finished",
    name: "a run is in flight",
    history: withRuntime({ currentRunId: "run-4" }),
  },
  {
    rule: "run_not_finished",
    name: "a run was started and never ended",
    history: withRuntime({
      events: [...events, lastEvent({ eventCode: "run.started", runId: "run-4" })],
    }),
  },
  {
    rule: "run_not_finished",
    name: "a run ended twice",
    history: withRuntime({
      events: [...events, lastEvent({ eventCode: "run.cancelled", runId: "run-3" })],
    }),
  },
  {
    rule: "run_not_finished",
    name: "an accepted end is in no history",
    history: withEntries({
      type: "ended",
      ...bob,
      generation: 2,
      runId: "run-2",
      how: "cancelled",
      text: "",
    }),
  },
  {
    rule: "input_not_finished",
    name: "an input is still queued",
    history: withRuntime({
      inputs: [inputA, inputB, { ...inputC, state: "live" }],
      counts: { ...counts, abandoned: 0, live: 1 },
    }),
  },
  {
    rule: "attempts_exceeded",
    name: "an input had more attempts than it may",
    history: withRuntime({ inputs: [inputA, inputB, { ...inputC, attemptCount: 4 }] }),
  },
  {
    rule: "watch_gap",
    name: "a watcher missed an event",
    history: withoutEntries((entry) => isSeen(entry, 5)),
  },
  {
    rule: "watch_gap",
    name: "a watcher missed the events before a bookmark",
    history: withEntries({ type: "bookmarked", ...wendy, revision: 8 }),
  },
  {
    rule: "watch_gap",
    name: "the whole history misses an event",
    history: {
      ...withRuntime({ events: events.filter((event) => event.revision !== 6) }),
      entries: withoutEntries((entry) => isSeen(entry, 6)).entries,
    },
  },
  {
    rule: "watch_repeat",
    name: "a watcher got an event twice",
    history: withEntries({
      type: "watched",
      ...wendy,
      revision: 7,
      index: 0,
      eventId: "7.0",
      eventCode: "run.completed",
    }),
  },
  {
    rule: "watch_repeat",
    name: "a watcher got an event after a bookmark behind it",
    history: withEntries(
      { type: "watch_opened", watcher: "otto", runtimeId: "desk", revision: 5, index: -1 },
      { type: "bookmarked", watcher: "otto", runtimeId: "desk", revision: 6 },
      {
        type: "watched",
        watcher: "otto",
        runtimeId: "desk",
        revision: 6,
        index: 0,
        eventId: "6.0",
        eventCode: "run.boundary_committed",
      },
    ),
  },
  {
    rule: "watch_differs",
    name: "a watcher got an event that never happened",
    history: withEntries({
      type: "watched",
      ...wendy,
      revision: 7,
      index: 9,
      eventId: "7.9",
      eventCode: "run.failed",
    }),
  },
  {
    rule: "counts_differ",
    name: "the counts do not add up",
    history: withRuntime({ counts: { ...counts, consumed: 2 } }),
  },
  {
    rule: "counts_differ",
    name: "the counts and the list differ",
    history: withRuntime({ counts: { ...counts, consumed: 0, abandoned: 2 } }),
  },
  {
    rule: "chain_broken",
    name: "the hash chain does not hold",
    history: withRuntime({ isVerified: false }),
  },
];

test("a sound history breaks no promise", () => {
  expect(checkHistory(SOUND_HISTORY)).toEqual([]);
});

test.each(CASES)("$rule: $name", ({ rule, history }) => {
  const violations = checkHistory(history);
  expect(new Set(violations.map((violation) => violation.rule))).toContain(rule);
  expect(violations.every((violation) => violation.runtimeId === "desk")).toBe(true);
});

test("every rule has a case that breaks it", () => {
  expect(new Set(CASES.map((broken) => broken.rule))).toEqual(new Set(RULES));
});
