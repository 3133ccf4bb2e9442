import fc from "fast-check";
import { expect, test } from "vitest";
import { runtimeAggregate } from "../../src/core/runtime/aggregate.ts";
import { envelopesOfCommit } from "../../src/core/runtime/envelopes.ts";
import type { RuntimeEvent } from "../../src/core/runtime/events.ts";
import { endedOperations } from "../../src/core/runtime/operation-fold.ts";
import { isQuiescent } from "../../src/core/runtime/operation-wake.ts";
import type { RuntimeState } from "../../src/core/runtime/state.ts";
import { Story, type StoryCommit } from "../../src/core/runtime/testing/story.ts";
import { life, operatingLife, startWalk, type Step, take } from "./runtime-steps.ts";

const RUNS = { numRuns: 800 };
const REASON = "detached_background_op_completed";
const ENDS = ["completed", "failed", "aborted", "cancelled", "retired", "terminated"];

function live(story: Story, steps: readonly Step[]): void {
  const walk = startWalk(story);
  for (const step of steps) take(walk, step);
}

/** The states around every event of a life. */
function eventsOf(commits: readonly StoryCommit[]) {
  return commits.flatMap(({ events, revision, at, before }) => {
    let state = before;
    return events.map((event, index) => {
      const around = { event, before: state, revision };
      state = runtimeAggregate.evolve(state, event, { revision, index, at });
      return { ...around, after: state };
    });
  });
}

function isContinuation(event: RuntimeEvent): boolean {
  return (
    event.type === "input_admitted" &&
    event.input.body.type === "continuation" &&
    event.input.body.reason === REASON
  );
}

/** Every life of one kind, lived to its end. */
function everyLife(steps: fc.Arbitrary<Step[]>, holds: (story: Story) => void): void {
  fc.assert(
    fc.property(steps, (drawn) => {
      const story = new Story();
      live(story, drawn);
      holds(story);
    }),
    RUNS,
  );
}

test("O1 to O7: every commit of a life full of operations leaves a sound registry", () => {
  // The story checks the invariants after each commit.
  let ends = 0;
  everyLife(operatingLife, ({ state }) => {
    ends += state.operations.watermark;
  });
  expect(ends).toBeGreaterThan(RUNS.numRuns);
});

test("O2: completion sequences run from 1 without a gap", () => {
  everyLife(operatingLife, ({ commits, state }) => {
    const sequences = eventsOf(commits).flatMap(({ event, before, after }) =>
      endedOperations(before.operations, event).map(
        (operationId) => after.operations.operations.get(operationId)?.end?.sequence,
      ),
    );
    expect(sequences).toEqual(sequences.map((_, index) => index + 1));
    expect(state.operations.watermark).toBe(sequences.length);
  });
});

test("O3: an operation ends at most once, and each who watches it is told in that commit", () => {
  everyLife(operatingLife, ({ commits }) => {
    const told = commits.flatMap(({ before, events, revision, at }) =>
      envelopesOfCommit(before, events, revision, at).flatMap(({ event, eventCode }) => {
        const isEnd = ENDS.some((end) => eventCode === `operation.${end}`);
        return event.category === "operation_lifecycle" && isEnd ? [event.operationId] : [];
      }),
    );
    expect(new Set(told).size).toBe(told.length);
    const ended = eventsOf(commits).flatMap(({ event, before }) =>
      endedOperations(before.operations, event),
    );
    expect(told).toEqual(ended);
  });
});

test("O6: completions are observed as soon as the runtime is quiescent, not before", () => {
  everyLife(operatingLife, ({ commits }) => {
    for (const { event, before } of eventsOf(commits)) {
      if (event.type !== "completions_observed") continue;
      const { continuationId } = before.operations;
      const waiting = continuationId === null ? undefined : before.inputs.get(continuationId);
      const isNew = event.continuationId !== undefined && event.continuationId !== continuationId;
      const isAllowed = waiting?.state === "queued" || isNew || isQuiescent(before);
      expect(isAllowed).toBe(true);
    }
  });
});

/** The continuations that tell of a background completion, by its sequence. */
function tellersOf(commits: readonly StoryCommit[]): ReadonlyMap<number, readonly string[]> {
  const tellers = new Map<number, string[]>();
  const kinds = new Map<number, string>();
  for (const { event, before, after } of eventsOf(commits)) {
    for (const operationId of endedOperations(before.operations, event)) {
      const operation = after.operations.operations.get(operationId);
      if (operation?.end) kinds.set(operation.end.sequence, operation.kind);
    }
    if (event.type !== "completions_observed" || event.continuationId === undefined) continue;
    const from = before.operations.cursors.runtimeInjected + 1;
    for (let sequence = from; sequence <= event.throughSequence; sequence += 1) {
      if (kinds.get(sequence) !== "background_tool_op") continue;
      tellers.set(sequence, [...(tellers.get(sequence) ?? []), event.continuationId]);
    }
  }
  return tellers;
}

test("O7: one continuation tells of a background completion, and none of nothing", () => {
  everyLife(operatingLife, ({ commits }) => {
    const tellers = tellersOf(commits);
    for (const names of tellers.values()) expect(names).toHaveLength(1);
    const admitted = eventsOf(commits).flatMap(({ event }) =>
      event.type === "input_admitted" && isContinuation(event) ? [event.input.inputId] : [],
    );
    expect(new Set([...tellers.values()].flat())).toEqual(new Set(admitted));
  });
});

test("one continuation per quiescent window: never two that wait", () => {
  const waiting = (state: RuntimeState, names: readonly string[]): number =>
    [...state.inputs.values()].filter(
      ({ inputId, state: at }) => at === "queued" && names.includes(inputId),
    ).length;
  everyLife(operatingLife, ({ commits }) => {
    const names: string[] = [];
    for (const { event, before, after } of eventsOf(commits)) {
      if (event.type !== "input_admitted" || !isContinuation(event)) continue;
      expect([isQuiescent(before), before.run, before.inputs.size >= 0]).toEqual([
        true,
        null,
        true,
      ]);
      names.push(event.input.inputId);
      expect(waiting(after, names)).toBe(1);
    }
  });
});

test("folding the whole history again leads to the same state", () => {
  const image = (state: RuntimeState): string =>
    JSON.stringify(runtimeAggregate.stateToJson(state));
  everyLife(operatingLife, ({ commits, state }) => {
    let refolded = runtimeAggregate.initial;
    for (const { events, revision, at } of commits) {
      for (const [index, event] of events.entries()) {
        refolded = runtimeAggregate.evolve(refolded, event, { revision, index, at });
      }
    }
    expect(image(refolded)).toBe(image(state));
  });
});

test("lives about everything else have operations among them", () => {
  let registered = 0;
  everyLife(life, ({ state }) => {
    registered += state.operations.ordinal;
  });
  expect(registered).toBeGreaterThan(RUNS.numRuns / 2);
});
