/**
 * Old histories fold into what they always folded into. A file of the corpus is never changed: it
 * is what stands in journals. A new event type brings a new file.
 */
import { expect, test } from "vitest";
import type { JsonObject } from "../shared/json.ts";
import { grantsAggregate } from "./aggregate.ts";
import { GRANTS_EVENT_TYPES } from "./event-codec.ts";
import declined from "./golden/declined-2.json" with { type: "json" };
import everyEvent from "./golden/every-event-1.json" with { type: "json" };
import type { GrantsState } from "./state.ts";

interface GoldenCommit {
  readonly revision: number;
  readonly at: number;
  readonly events: readonly JsonObject[];
}

const EVERY_EVENT = everyEvent as unknown as readonly GoldenCommit[];
const DECLINED = declined as unknown as readonly GoldenCommit[];

function folded(commits: readonly GoldenCommit[]): GrantsState {
  let state = grantsAggregate.initial;
  for (const { revision, at, events } of commits) {
    for (const [index, json] of events.entries()) {
      const event = grantsAggregate.eventFromJson(json);
      if (event === "unknown") throw new Error(`revision ${revision} is not read`);
      state = grantsAggregate.evolve(state, event, { revision, index, at });
    }
  }
  return state;
}

test("a history of every event folds into the state that it always folded into", () => {
  const state = folded(EVERY_EVENT);
  const leaving = { processId: "v", descriptor: {}, grantedAt: 777 };
  const transfer = { serial: 3, fromFrameId: "", toSessionId: "later", toFrameId: "" };
  const hold = { mark: 7, standing: "held", handleCount: 1, pending: [], ofDeletion: false };
  expect(grantsAggregate.stateToJson(state)).toEqual({
    phase: "deleted",
    updatedAt: 24_000,
    lastMark: 7,
    lastSerial: 3,
    deletion: {
      cancelOrphans: true,
      reason: "over",
      revokedCount: 3,
      orphaned: ["r", "s", "u"],
      cancelled: ["r", "s", "u"],
      preserved: [],
    },
    deferral: null,
    grants: [],
    holds: [["v", hold]],
    transfers: [{ ...transfer, handles: [leaving], begunAt: 22_000 }],
    sources: [["elsewhere", { floor: 3, serials: [4], declined: [] }]],
  });
});

test("a history of names that are given once folds into what it always folded into", () => {
  const state = folded(DECLINED);
  expect([...state.sources.entries()]).toEqual([
    ["elsewhere", { floor: 0, serials: [], declined: [4] }],
  ]);
  expect(state.transfers.get(1)).toMatchObject({ solePrefixes: ["task:n:"], begunAt: 4000 });
});

test("the corpus holds every event type, and a type that nobody knows is told", () => {
  const types = [...EVERY_EVENT, ...DECLINED].flatMap(({ events }) =>
    events.map((event) => event["type"]),
  );
  expect(new Set(types)).toEqual(new Set(GRANTS_EVENT_TYPES));
  expect(grantsAggregate.eventFromJson({ type: "grant_glorified" })).toBe("unknown");
});
