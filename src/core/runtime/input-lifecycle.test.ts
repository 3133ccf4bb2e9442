import { describe, expect, test } from "vitest";
import { FoldError } from "../shared/fold-error.ts";
import {
  advance,
  canStep,
  INPUT_LIFECYCLE,
  type InputLifecycleEvent,
  isTerminal,
  TRANSITIONS_MAX,
} from "./input-lifecycle.ts";
import type { InputHeader, InputStateName } from "./state.ts";
import { externalEvent, registeredStory } from "./testing/story.ts";

const STATES: readonly InputStateName[] = [
  "accepted",
  "queued",
  "staged",
  "applied",
  "applied_pending_consumption",
  "consumed",
  "superseded",
  "coalesced",
  "abandoned",
];
const TERMINAL = ["consumed", "superseded", "coalesced", "abandoned"];
const POSITION = { revision: 7, index: 0, at: 2_000_000 };

/** The steps that are legal per state, written down once more, independently of the table. */
const LEGAL: Readonly<Record<InputStateName, readonly InputLifecycleEvent[]>> = {
  accepted: ["queue_accepted", "consume_on_accept", "abandon"],
  queued: ["stage_for_run", "supersede", "coalesce", "abandon"],
  staged: ["rollback_staged", "mark_applied", "abandon"],
  applied: ["mark_applied_pending_consumption", "abandon"],
  applied_pending_consumption: ["consume", "abandon"],
  consumed: [],
  superseded: [],
  coalesced: [],
  abandoned: [],
};

function headerIn(state: InputStateName): InputHeader {
  const story = registeredStory();
  story.ingest("a", externalEvent());
  return { ...story.header("a"), state };
}

/** The state after a step, or the name of the error that it meets. */
function stepped(header: InputHeader, cause: InputLifecycleEvent): string {
  try {
    return advance(header, [cause], POSITION, {}).state;
  } catch (error) {
    return error instanceof FoldError ? error.name : "another error";
  }
}

describe("every step in every state", () => {
  for (const state of STATES) {
    for (const cause of Object.keys(INPUT_LIFECYCLE) as InputLifecycleEvent[]) {
      const isLegal = LEGAL[state].includes(cause);
      test(`${cause} while ${state} is ${isLegal ? "legal" : "refused"}`, () => {
        const header = headerIn(state);
        expect(canStep(state, cause)).toBe(isLegal);
        expect(stepped(header, cause)).toBe(isLegal ? INPUT_LIFECYCLE[cause].to : "FoldError");
        expect(header.state).toBe(state);
      });
    }
  }
});

test("the four ends are terminal and nothing else", () => {
  expect(STATES.filter((state) => isTerminal(state))).toEqual(TERMINAL);
});

test("a whole life is four steps after the admission, each with its cause and revision", () => {
  const story = registeredStory();
  story.ingest("a", externalEvent());
  story.assign();
  story.boundary();
  story.complete();
  const { transitions, state, outcome, attempts } = story.header("a");
  expect(transitions.map(({ from, to, cause }) => `${from} ${cause} ${to}`)).toEqual([
    "queued stage_for_run staged",
    "staged mark_applied applied",
    "applied mark_applied_pending_consumption applied_pending_consumption",
    "applied_pending_consumption consume consumed",
  ]);
  expect(transitions.map((step) => step.revision)).toEqual([3, 4, 4, 5]);
  expect([state, outcome?.type, attempts]).toEqual(["consumed", "consumed", 1]);
});

test("a step records time and reason and changes nothing else of the header", () => {
  const header = headerIn("queued");
  const { transitions, ...after } = advance(header, ["abandon"], POSITION, { notBefore: 5 });
  const { transitions: none, ...before } = header;
  expect(none).toEqual([]);
  expect(after).toEqual({ ...before, state: "abandoned", updatedAt: 2_000_000, notBefore: 5 });
  expect(transitions).toEqual([
    { at: 2_000_000, from: "queued", to: "abandoned", cause: "abandon", revision: 7 },
  ]);
});

test("the history of a header is bounded and keeps the newest steps", () => {
  let header = headerIn("queued");
  for (let turn = 0; turn < TRANSITIONS_MAX; turn += 1) {
    const position = { ...POSITION, revision: turn };
    header = advance(header, ["stage_for_run", "rollback_staged"], position, {});
  }
  expect(header.transitions).toHaveLength(TRANSITIONS_MAX);
  expect(header.transitions.at(-1)?.revision).toBe(TRANSITIONS_MAX - 1);
});
