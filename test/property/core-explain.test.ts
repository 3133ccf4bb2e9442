import fc from "fast-check";
import { expect, test } from "vitest";
import { hindranceOf } from "../../src/core/runtime/batch.ts";
import { type Cause, type ExecutorFacts, explain } from "../../src/core/runtime/explain.ts";
import type { RuntimeState } from "../../src/core/runtime/state.ts";
import { Story } from "../../src/core/runtime/testing/story.ts";
import { life, startWalk, take } from "./runtime-steps.ts";

const RUNS = { numRuns: 300 };

/** Causes that stand against a run whatever the executors do. */
const OF_THE_RUNTIME: readonly Cause["type"][] = [
  "unregistered",
  "destroyed",
  "stopped",
  "run_unacknowledged",
  "run_in_flight",
  "nothing_queued",
  "backing_off",
  "not_woken",
];

const factsOfExecutors: fc.Arbitrary<ExecutorFacts> = fc
  .record({
    poolExecutors: fc.nat(3),
    busyExecutors: fc.nat(3),
    servedAgoMs: fc.option(fc.constantFrom(-10, 0, 40_000), { nil: undefined }),
    renewedAgoMs: fc.option(fc.constantFrom(0, 10_000, 40_000), { nil: undefined }),
    isLapsed: fc.boolean(),
  })
  .map(({ poolExecutors, busyExecutors, servedAgoMs, renewedAgoMs, isLapsed }) => {
    const renewedAt = 1_000_000 - (renewedAgoMs ?? 0);
    const holder = { renewedAt, expiresAt: renewedAt + 30_000, isLapsed };
    return {
      poolExecutors,
      busyExecutors,
      ...(servedAgoMs === undefined ? {} : { poolServedUntil: 1_000_000 - servedAgoMs }),
      ...(renewedAgoMs === undefined ? {} : { holder }),
    };
  });

/** Takes all steps; calls `visit` with the state after each. */
function visitAll(
  steps: Parameters<typeof take>[1][],
  visit: (state: RuntimeState, now: number) => void,
): void {
  const story = new Story();
  const walk = startWalk(story);
  for (const step of steps) {
    take(walk, step);
    visit(story.state, story.now);
  }
}

/** Whether a cause is what the state itself says, read from the headers up. */
function isTrue(cause: Cause, state: RuntimeState, facts: ExecutorFacts, now: number): boolean {
  const queued = [...state.inputs.values()].filter((header) => header.state === "queued");
  const { run, lease, registration, phase } = state;
  switch (cause.type) {
    case "unregistered":
      return registration === "unregistered";
    case "destroyed":
    case "stopped":
    case "retired":
      return phase === cause.type;
    case "run_unacknowledged":
      return run?.runId === cause.runId && !run.acknowledged;
    case "run_in_flight":
      return run?.runId === cause.runId && run.acknowledged && run.attempt === cause.attempt;
    case "interrupt_pending":
      return run?.runId === cause.runId && run.interruptedAt === cause.since;
    case "intake_full":
      return queued.length === cause.queued && cause.queued >= cause.limit;
    case "nothing_queued":
      return queued.length === 0;
    case "backing_off": {
      const lane = queued.filter((header) => header.lane === cause.lane);
      const head = lane.toSorted((left, right) => left.ordinal - right.ordinal)[0];
      return head?.inputId === cause.inputId && head.notBefore === cause.until && cause.until > now;
    }
    case "not_woken":
      return !state.wake && queued.length === cause.queued && cause.queued > 0;
    case "lease_held":
    case "lease_lapsing":
      return lease?.executorId === cause.executorId && lease.generation === cause.generation;
    case "no_executor":
      return lease === null && facts.poolExecutors === 0 && cause.pool === state.config.pool;
    case "executors_busy":
      return facts.poolExecutors > 0 && facts.busyExecutors >= facts.poolExecutors;
    case "awaiting_assignment":
      return hindranceOf(state, now) === undefined;
  }
}

test("a registered runtime that is neither over nor running has a cause", () => {
  fc.assert(
    fc.property(life, factsOfExecutors, (steps, facts) => {
      visitAll(steps, (state, now) => {
        const causes = explain(state, facts, now);
        expect(causes.length > 0).toBe(state.registration !== "none");
      });
    }),
    RUNS,
  );
});

/** Whether the times of a cause are possible: it began by now, and is to end after now. */
function isTimely(cause: Cause, now: number): boolean {
  const { since } = cause;
  const ends = cause.type === "backing_off" || cause.type === "lease_held";
  const until = ends ? cause.until : undefined;
  const hasBegun = since > 0 && since <= now;
  return hasBegun && (until === undefined || until > now);
}

test("every cause is true, began in the past, and ends in the future", () => {
  fc.assert(
    fc.property(life, factsOfExecutors, (steps, facts) => {
      visitAll(steps, (state, now) => {
        const wrong = explain(state, facts, now).filter((cause) => {
          return !isTrue(cause, state, facts, now) || !isTimely(cause, now);
        });
        expect(wrong).toEqual([]);
      });
    }),
    RUNS,
  );
});

/** What is told of a hindrance; undefined where one of several causes stands for it. */
const TOLD: Partial<Record<string, Cause["type"]>> = {
  stopped: "stopped",
  destroyed: "destroyed",
  nothing_queued: "nothing_queued",
  not_woken: "not_woken",
  backing_off: "backing_off",
};

test("a run can start exactly when nothing of the runtime's own stands against it", () => {
  fc.assert(
    fc.property(life, factsOfExecutors, (steps, facts) => {
      visitAll(steps, (state, now) => {
        const hindrance = hindranceOf(state, now)?.reason;
        const types = explain(state, facts, now).map(({ type }) => type);
        const own = types.filter((type) => OF_THE_RUNTIME.includes(type));
        // One lane may back off while the other one is due.
        const isFree = own.every((type) => type === "backing_off") && types.length > own.length;
        const told = hindrance === undefined ? undefined : TOLD[hindrance];
        const isTold = told === undefined || types.includes(told);
        const isKnown = state.registration !== "none";
        expect([isFree || !isKnown, isTold || !isKnown]).toEqual([
          hindrance === undefined || !isKnown || (hindrance === "backing_off" && isFree),
          true,
        ]);
      });
    }),
    RUNS,
  );
});
