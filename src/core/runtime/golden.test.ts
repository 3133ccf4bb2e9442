/**
 * Old histories fold into what they always folded into. A file of the corpus is never changed: it
 * is what stands in journals. A new event type or policy row brings a new file.
 */
import { expect, test } from "vitest";
import type { Json, JsonObject } from "../shared/json.ts";
import { runtimeAggregate } from "./aggregate.ts";
import { RUNTIME_EVENT_TYPES } from "./event-codec.ts";
import cancelledInputs from "./golden/cancelled-inputs-1.json" with { type: "json" };
import drains from "./golden/drain-2.json" with { type: "json" };
import everyEvent from "./golden/every-event-1.json" with { type: "json" };
import operations from "./golden/operations-1.json" with { type: "json" };
import silentIntents from "./golden/silent-intents-1.json" with { type: "json" };
import type { RuntimeState } from "./state.ts";

interface GoldenCommit {
  readonly revision: number;
  readonly at: number;
  readonly events: readonly JsonObject[];
}

const EVERY_EVENT = everyEvent as unknown as readonly GoldenCommit[];
const CANCELLED_INPUTS = cancelledInputs as unknown as readonly GoldenCommit[];
const SILENT_INTENTS = silentIntents as unknown as readonly GoldenCommit[];
const DRAINS = drains as unknown as readonly GoldenCommit[];
const OPERATIONS = operations as unknown as readonly GoldenCommit[];
/** All files of the corpus. */
const CORPUS = [EVERY_EVENT, CANCELLED_INPUTS, SILENT_INTENTS, DRAINS, OPERATIONS];

function fold(commits: readonly GoldenCommit[]): RuntimeState {
  let state = runtimeAggregate.initial;
  for (const { revision, at, events } of commits) {
    for (const [index, json] of events.entries()) {
      const event = runtimeAggregate.eventFromJson(json);
      if (event === "unknown") throw new Error(`revision ${revision} is not read`);
      state = runtimeAggregate.evolve(state, event, { revision, index, at });
    }
  }
  return state;
}

test("a history of every event folds into the state that it always folded into", () => {
  const state = fold(EVERY_EVENT);
  const inputs = [...state.admitted.values()].map((inputId) => {
    const header = state.inputs.get(inputId);
    const { outcome, attempts, admittedRevision, completedRevision, transitions } = header ?? {};
    return [
      inputId,
      JSON.stringify(outcome),
      attempts,
      admittedRevision,
      completedRevision,
      transitions?.length,
    ];
  });
  const exhausted = '{"type":"abandoned","reason":"max_attempts_exhausted","attempts":2}';
  expect(inputs).toEqual([
    ["prompt-1", '{"type":"consumed","runId":"id-3"}', 1, 3, 19, 4],
    ["operation-1", '{"type":"consumed"}', 0, 4, 4, 0],
    ["draft-1", '{"type":"superseded","supersededBy":"draft-2"}', 0, 5, 6, 1],
    ["draft-2", exhausted, 2, 6, 28, 8],
    ["progress-1", '{"type":"coalesced","aggregateId":"progress-2"}', 0, 7, 8, 1],
    ["progress-2", '{"type":"consumed","runId":"id-2"}', 1, 8, 12, 4],
    ["steer-1", '{"type":"consumed","runId":"id-3"}', 1, 15, 19, 4],
    ["prompt-2", '{"type":"abandoned","reason":"reset","attempts":1}', 1, 29, 41, 5],
    ["prompt-3", '{"type":"abandoned","reason":"stopped","attempts":0}', 0, 42, 45, 2],
    ["continue-1", '{"type":"abandoned","reason":"stopped","attempts":0}', 0, 43, 45, 1],
  ]);
  expect(state.endedRuns.map(({ runId, how }) => `${runId} ${how}`)).toEqual([
    "id-12 fenced",
    "id-9 fenced",
    "id-8 taken_back",
    "id-7 lapsed",
    "id-6 released",
    "id-5 cancelled",
    "id-4 failed",
    "id-3 completed",
  ]);
  expect([...state.keys.entries()]).toEqual([
    ["key-1", "prompt-1"],
    ["key-2", "progress-2"],
  ]);
  expect(state).toMatchObject({
    phase: "destroyed",
    registration: "registered",
    epochId: "id-11",
    generation: 8,
    lease: null,
    run: null,
    wake: false,
    receiptCount: 3,
    liveBytes: 0,
    createdAt: 1_750_000_000_000,
    updatedAt: 1_750_000_080_075,
    counts: { accepted: 10, consumed: 4, superseded: 1, coalesced: 1, abandoned: 4, queued: 0 },
    config: { pool: "gpu", attemptLimit: 2, keepAlive: true, labels: { team: "search" } },
  });
});

test("a history of drains folds into the state that it always folded into", () => {
  const drainAfter = (revisions: number) => fold(DRAINS.slice(0, revisions)).drain;
  expect(drainAfter(4)).toEqual({
    phase: "exited_respawnable",
    mode: "persistent_host",
    sequence: 1,
    host: null,
    since: 1_760_000_003_000,
    notBefore: 1_760_000_004_000,
    failures: 1,
    lastExit: "failed",
  });
  expect(drainAfter(5)).toMatchObject({
    phase: "running",
    sequence: 2,
    host: { executorId: "worker-b", incarnationId: "life-2" },
  });
  const state = fold(DRAINS);
  expect(state.config.keepAlive).toBe(true);
  expect(state.peerEndpoint).toEqual({
    address: "inproc://agent-1",
    peerName: "agent-1",
    peerId: "p-1",
  });
  expect(state.drain).toMatchObject({ phase: "stopped", sequence: 3, lastExit: "aborted" });
});

test("half of a history folds too: in the middle of a run with a steer input", () => {
  const state = fold(EVERY_EVENT.slice(0, 16));
  expect(state.run).toMatchObject({
    runId: "id-3",
    contributors: ["prompt-1", "steer-1"],
    staged: ["steer-1"],
    acknowledged: true,
  });
  expect([...state.queueLane.values()]).toEqual(["draft-2"]);
  expect(state.lease).toMatchObject({ executorId: "worker-a", named: true, generation: 2 });
});

test("cancelled inputs are those of the ordinals, whatever the caller was told", () => {
  const state = fold(CANCELLED_INPUTS);
  expect([...state.inputs.values()].map(({ inputId, outcome }) => [inputId, outcome])).toEqual([
    ["a", { type: "abandoned", reason: "cancelled", attempts: 0 }],
    ["b", { type: "abandoned", reason: "cancelled", attempts: 0 }],
    ["c", { type: "abandoned", reason: "cancelled", attempts: 0 }],
    ["claimed", undefined],
    ["steer", { type: "abandoned", reason: "cancelled", attempts: 0 }],
  ]);
  expect(state).toMatchObject({ wake: false, counts: { queued: 0, staged: 1, abandoned: 4 } });
});

test("silenced requests are queued and leave the runtime asleep", () => {
  const state = fold(SILENT_INTENTS);
  const policies = [...state.inputs.values()].map(({ lane, policy }) => [lane, policy]);
  expect(policies).toEqual([
    ["queue", "1/peer_request/idle/silent"],
    ["steer", "1/steer/idle/silent"],
  ]);
  expect(state).toMatchObject({ silentIntents: ["ask", "status"], wake: false });
});

test("a history of operations folds into the registry that it always folded into", () => {
  const { operations: registry, config } = fold(OPERATIONS);
  const ends = [...registry.ended.entries()].map(([sequence, operationId]) => {
    const { outcome } = registry.operations.get(operationId)?.end ?? {};
    return [sequence, operationId, JSON.stringify(outcome)];
  });
  const built = '{"type":"completed","isError":false,"durationMs":1500,"tokensUsed":12';
  expect(ends).toEqual([
    [1, "child-1", '{"type":"retired"}'],
    [2, "tool-1", `${built},"resultBytes":90}`],
    [3, "tool-2", '{"type":"failed","error":"no disk"}'],
    [4, "tool-3", '{"type":"aborted","reason":"not needed"}'],
    [5, "tool-4", '{"type":"failed","error":"exit 1"}'],
    [6, "tool-5", '{"type":"cancelled","reason":"asked to"}'],
    [7, "tool-6", '{"type":"terminated","reason":"owner gone"}'],
    [8, "tool-7", '{"type":"terminated","reason":"epoch_rotated"}'],
  ]);
  expect(registry).toMatchObject({
    ordinal: 8,
    watermark: 8,
    releasedThrough: 5,
    cursors: { agentApplied: 4, runtimeObserved: 8, runtimeInjected: 8 },
    continuationId: "id-4",
  });
  expect(config).toMatchObject({ operationLimit: 50, completedRetention: 3 });
});

test("the corpus holds every event type that this build writes", () => {
  const commits = CORPUS.flat();
  const seen = new Set(commits.flatMap(({ events }) => events.map((event) => event["type"])));
  expect(RUNTIME_EVENT_TYPES.filter((type) => !seen.has(type))).toEqual([]);
});

test("an event of a newer server is told apart, never skipped", () => {
  const admitted = EVERY_EVENT[2]?.events[0] ?? {};
  const strangers: readonly Json[] = [
    { type: "input_teleported" },
    { ...admitted, policy: "2/prompt/idle" },
    { type: "toString" },
    {},
    null,
    "input_admitted",
    [],
  ];
  expect(strangers.map((json) => runtimeAggregate.eventFromJson(json))).toEqual(
    strangers.map(() => "unknown"),
  );
});

test("an event that cannot follow the state is an error, not a guess", () => {
  const state = fold(EVERY_EVENT.slice(0, 3));
  const position = { revision: 4, index: 0, at: 1_750_000_000_001 };
  const impossible = EVERY_EVENT.slice(4).flatMap(({ events }) => events);
  const failures = impossible.filter((json) => {
    const event = runtimeAggregate.eventFromJson(json);
    if (event === "unknown" || event.type !== "run_completed") return false;
    expect(() => runtimeAggregate.evolve(state, event, position)).toThrow("not possible");
    return true;
  });
  expect(failures).toHaveLength(2);
});
