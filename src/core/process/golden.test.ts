/**
 * Old histories fold into what they always folded into. A file of the corpus is never changed: it
 * is what stands in journals. A new event type brings a new file.
 */
import { expect, test } from "vitest";
import type { JsonObject } from "../shared/json.ts";
import { processAggregate } from "./aggregate.ts";
import { PROCESS_EVENT_TYPES } from "./event-codec.ts";
import affirmed from "./golden/affirmed-2.json" with { type: "json" };
import everyEvent from "./golden/every-event-1.json" with { type: "json" };
import taskEvents from "./golden/task-1.json" with { type: "json" };
import type { ProcessState } from "./state.ts";

interface GoldenCommit {
  readonly revision: number;
  readonly at: number;
  readonly events: readonly JsonObject[];
}

const EVERY_EVENT = everyEvent as unknown as readonly GoldenCommit[];
const TASK_EVENTS = taskEvents as unknown as readonly GoldenCommit[];
const AFFIRMED = affirmed as unknown as readonly GoldenCommit[];

function fold(commits: readonly GoldenCommit[]): ProcessState {
  let state = processAggregate.initial;
  for (const { revision, at, events } of commits) {
    for (const [index, json] of events.entries()) {
      const event = processAggregate.eventFromJson(json);
      if (event === "unknown") throw new Error(`revision ${revision} is not read`);
      state = processAggregate.evolve(state, event, { revision, index, at });
    }
  }
  return state;
}

test("a history of every event folds into the state that it always folded into", () => {
  const state = fold(EVERY_EVENT.slice(0, -1));
  const headers = [...state.events.values()].map(({ sequence, eventType, wake, replayKey }) => [
    sequence,
    eventType,
    replayKey,
    wake?.wakeOrdinal,
    wake?.settlement?.type,
  ]);
  expect(headers).toEqual([
    [1, "progress", "p-1", undefined, undefined],
    [2, "woke", undefined, 1, "delivered"],
    [3, "woke", undefined, 2, "discarded"],
    [4, "woke", undefined, 3, "discarded"],
    [5, "woke", undefined, undefined, undefined],
    [
      6,
      "process.cancel_requested",
      "process:process-1:cancel_requested:slow",
      undefined,
      undefined,
    ],
    [7, "process.completed", "process:process-1:terminal:process.completed", undefined, undefined],
  ]);
  expect([...state.holders.entries()]).toEqual([
    ["session-1", { mark: 1, held: false }],
    ["session-2", { mark: 4, held: true }],
  ]);
  expect([...state.typeCounts.entries()]).toEqual([
    ["process.cancel_requested", { count: 1, lastSequence: 6, landmarks: [6] }],
    ["process.completed", { count: 1, lastSequence: 7, landmarks: [7] }],
    ["progress", { count: 1, lastSequence: 1, landmarks: [1] }],
    ["woke", { count: 4, lastSequence: 5, landmarks: [5] }],
  ]);
  expect(state).toMatchObject({
    processId: "process-1",
    createdAt: 1_000_000,
    updatedAt: 1_000_030,
    registeredRevision: 1,
    generation: 3,
    lease: null,
    wait: null,
    end: { status: "completed", endedAt: 1_000_030, place: { sequence: 7 } },
    externalRef: { backend: "ci", externalId: "7", metadata: { a: 1 } },
    wakeRuntimeId: "session-1",
    holderCount: 1,
    lastSequence: 7,
    wakeCount: 3,
    unacknowledgedWakes: [
      [1, 1],
      [3, 3],
    ],
    cancelRequest: { reason: "slow", sequence: 6 },
    abandonRequest: { requestedBy: "operator", reason: "lost" },
    task: { liveState: "running", sessionId: "session-2" },
    firstStart: { owner: { ownerId: "worker", incarnationId: "worker-1" }, startedAt: 1_000_010 },
  });
});

test("a pruned history folds into its tombstone", () => {
  const state = fold(EVERY_EVENT);
  expect(state).toMatchObject({ prunedAt: 1_000_040, end: { status: "completed" }, wakeCount: 3 });
  expect([state.events.size, state.holders.size, state.holderCount]).toEqual([0, 2, 1]);
});

test("a task that was aborted folds into its end", () => {
  expect(fold(TASK_EVENTS.slice(0, -1))).toMatchObject({
    end: { status: "cancelled", endedAt: 1_005_000, place: { sequence: 2 } },
    cancelRequest: { reason: "no more", requestedAt: 1_000_000, sequence: 1 },
    task: { abortAt: null, notice: { control: "abort", since: 1_005_000 } },
  });
  expect(fold(TASK_EVENTS)).toMatchObject({ task: { notice: null } });
});

test("an affirmation changes nothing but the time of the last change", () => {
  const before = fold(AFFIRMED.slice(0, -1));
  expect(before.updatedAt).toBe(1_000_000);
  expect(fold(AFFIRMED)).toEqual({ ...before, updatedAt: 1_000_500 });
});

test("the corpus holds every event type that this build writes", () => {
  const corpus = [...EVERY_EVENT, ...TASK_EVENTS, ...AFFIRMED];
  const seen = new Set(corpus.flatMap(({ events }) => events.map((event) => event["type"])));
  expect(PROCESS_EVENT_TYPES.filter((type) => !seen.has(type))).toEqual([]);
});
