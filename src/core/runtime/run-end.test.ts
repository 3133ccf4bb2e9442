import { describe, expect, test } from "vitest";
import { runIdOf } from "../shared/ids.ts";
import { backoffMs } from "./run-loss.ts";
import { stateNameOf } from "./table.ts";
import {
  executor,
  externalEvent,
  ids,
  peer,
  prompt,
  registeredStory,
  type Story,
} from "./testing/story.ts";

/** A runtime with the given prompts queued. */
function withPrompts(...names: readonly string[]): Story {
  const story = registeredStory();
  for (const name of names) story.ingest(name, prompt(name));
  return story;
}

describe("a run completes", () => {
  test("on_run_completed_consumes", () => {
    const story = withPrompts("a");
    const { runId } = story.assign();
    story.boundary();
    expect(story.complete()).toEqual({ type: "run_ended", runId });
    expect(story.header("a")).toMatchObject({
      state: "consumed",
      outcome: { type: "consumed", runId },
      completedRevision: 5,
    });
    expect(story.lastEvents()).toEqual(["run_completed", "lease_released"]);
    expect(stateNameOf(story.state)).toBe("idle");
    expect(story.state.lastExecutor).toEqual(executor("worker"));
  });

  test("not while contributors have no receipt (decision 9)", () => {
    const story = withPrompts("a");
    story.assign();
    const refusal = story.refused(story.completeCommand(), "CONTRIBUTORS_NOT_APPLIED");
    expect(refusal.metadata["staged"]).toBe("1");
  });

  test("with its last boundary in the same call", () => {
    const story = withPrompts("a");
    const { runId } = story.assign();
    const finalBoundary = { boundary: "run_start", inputIds: ids("a"), messageCount: 2 } as const;
    story.do({ ...story.completeCommand(), finalBoundary }, "run_ended");
    expect(story.lastEvents()).toEqual(["boundary_committed", "run_completed", "lease_released"]);
    expect(story.header("a")).toMatchObject({ state: "consumed", attempts: 1 });
    expect(story.state.receipts.get(1)).toMatchObject({ runId, sequence: 0 });
  });

  test("with a last boundary that must name what is staged", () => {
    const story = withPrompts("a");
    story.assign();
    const finalBoundary = { boundary: "run_start", inputIds: ids(), messageCount: 2 } as const;
    const command = { ...story.completeCommand(), finalBoundary };
    const refusal = story.refused(command, "CONTRIBUTORS_MISMATCH");
    expect(refusal.metadata).toEqual({ expected: "1", named: "0" });
  });

  test("and takes the next run in the same commit, under the same generation", () => {
    const story = withPrompts("a", "b");
    const { generation } = story.assign();
    story.boundary();
    const command = story.completeCommand({ type: "none" }, true);
    const first = story.do(command, "run_ended");
    expect(first.next).toEqual({ runId: story.run().runId, generation, inputIds: ["b"] });
    expect(story.lastEvents()).toEqual(["run_completed", "run_started"]);
    expect(story.do(command, "run_ended")).toEqual(first);
  });

  test("and takes nothing when nothing is due; a pooled lease ends, a named one stays", () => {
    const pooled = withPrompts("a");
    pooled.assign();
    pooled.boundary();
    expect(pooled.complete({ type: "none" }, true).next).toBeUndefined();
    expect(stateNameOf(pooled.state)).toBe("idle");
    const named = withPrompts("a");
    named.attach();
    named.assign();
    named.boundary();
    named.complete({ type: "none" }, true);
    expect(stateNameOf(named.state)).toBe("attached");
  });

  test("once: the same call is answered again, another one is told that the run is over", () => {
    const story = withPrompts("a", "b");
    story.assign();
    story.boundary();
    const command = story.completeCommand();
    const first = story.do(command, "run_ended");
    expect(story.do(command, "run_ended")).toEqual(first);
    const refusal = story.refused({ ...command, bodyHash: "another" }, "RUN_ENDED");
    expect(refusal.metadata).toMatchObject({ runId: command.runId, how: "completed" });
  });

  test("at most eight ended runs are remembered", () => {
    const story = withPrompts("a", "b", "c", "d", "e", "f", "g", "h", "i", "j");
    const commands = [];
    for (let run = 0; run < 10; run += 1) {
      story.assign();
      story.boundary();
      commands.push(story.completeCommand());
      story.complete();
    }
    expect(story.state.endedRuns).toHaveLength(8);
    expect(story.try(commands[9] ?? { type: "stop" })).toMatchObject({ type: "run_ended" });
    story.refused(commands[0] ?? { type: "stop" }, "LEASE_LOST");
  });
});

describe("a run fails (decision 9)", () => {
  test("on_run_failed_rollbacks: queued in front, after a backoff, and the runtime wakes", () => {
    const story = withPrompts("a", "b");
    story.assign();
    story.fail();
    expect(story.lastEvents()).toEqual(["run_failed", "lease_released"]);
    expect(story.queued()).toEqual(["a", "b"]);
    expect(story.header("a")).toMatchObject({
      state: "queued",
      attempts: 1,
      notBefore: 1_001_000,
    });
    expect([stateNameOf(story.state), story.state.wake]).toEqual(["idle", true]);
  });

  test("rollback_restores_queue_projection_order: [a, b] comes back as [a, b] (decision 7)", () => {
    const story = registeredStory();
    for (const name of ["a", "b", "c"]) story.ingest(name, externalEvent());
    story.assign("worker", 2);
    story.fail();
    expect(story.queued()).toEqual(["a", "b", "c"]);
  });

  test("steer inputs roll back to the steer lane", () => {
    const story = registeredStory();
    story.ingest("s", prompt("s", "steer"));
    story.ingest("q", prompt("q"));
    story.assign();
    story.fail();
    expect([...story.state.steerLane.values()]).toEqual(["s"]);
    expect([...story.state.queueLane.values()]).toEqual(["q"]);
  });

  test("failed_executor_stops_retrying_after_stage_budget_exhausted", () => {
    const story = withPrompts("a", "b");
    for (const wait of [1_000, 2_000]) {
      story.assign();
      story.fail();
      expect(story.header("a").notBefore).toBe(story.now + wait);
      story.now += wait;
    }
    story.assign();
    story.fail();
    expect(story.header("a")).toMatchObject({
      state: "abandoned",
      outcome: { type: "abandoned", reason: "max_attempts_exhausted", attempts: 3 },
    });
    expect(story.lastEvents()).toEqual(["run_failed", "lease_released"]);
    expect(story.assign().contributors).toEqual(["b"]);
  });

  test("failed_executor_continues_processing_backlog once the head's wait is over", () => {
    const story = withPrompts("a", "b");
    story.assign();
    story.fail();
    story.now += 1_000;
    story.drain();
    expect(story.state.counts).toMatchObject({ consumed: 2, queued: 0 });
  });

  test("for good: what is staged is abandoned", () => {
    const story = withPrompts("a");
    story.assign();
    story.fail(false);
    expect(story.header("a")).toMatchObject({
      state: "abandoned",
      outcome: { type: "abandoned", reason: "run_failed", attempts: 1 },
    });
  });

  test("failed_executor_does_not_strand_input_in_apc: under a receipt it is consumed", () => {
    for (const recoverable of [true, false]) {
      const story = withPrompts("a");
      const { runId } = story.assign();
      story.ingest("s", prompt("s", "steer"));
      story.boundary(true);
      story.fail(recoverable);
      expect(story.header("a")).toMatchObject({
        state: "consumed",
        outcome: { type: "consumed", runId },
      });
      expect(story.header("s").state).toBe(recoverable ? "queued" : "abandoned");
    }
  });

  test("one input of a batch may be at its limit while the other tries again", () => {
    const story = registeredStory({ attemptLimit: 2 });
    story.ingest("a", externalEvent());
    story.assign();
    story.fail();
    story.now += 1_000;
    story.ingest("b", peer("message"));
    expect(story.assign()).toMatchObject({ contributors: ["a", "b"], attempt: 2 });
    story.fail();
    expect([story.header("a").state, story.header("b").state]).toEqual(["abandoned", "queued"]);
    expect(story.header("b").notBefore).toBe(story.now + 1_000);
  });
});

describe("the backoff", () => {
  const config = { retryBackoffInitialMs: 1_000, retryBackoffMaxMs: 60_000 };

  test("doubles per attempt and is capped", () => {
    const waits = [1, 2, 3, 6, 7, 100].map((attempt) => backoffMs(config, attempt, 0.5));
    expect(waits).toEqual([1_000, 2_000, 4_000, 32_000, 60_000, 60_000]);
  });

  test("varies by a fifth in both directions", () => {
    expect([backoffMs(config, 1, 0), backoffMs(config, 1, 0.5), backoffMs(config, 1, 1)]).toEqual([
      800, 1_000, 1_200,
    ]);
  });
});

describe("a run is cancelled by its executor (decision 12)", () => {
  test("what is staged is abandoned, what has a receipt is consumed", () => {
    const story = withPrompts("a");
    story.assign();
    story.ingest("s", prompt("s", "steer"));
    story.boundary(true);
    story.cancel(false);
    expect(story.header("a").state).toBe("consumed");
    expect(story.header("s").outcome).toEqual({
      type: "abandoned",
      reason: "cancelled",
      attempts: 1,
    });
  });

  test("requeued in front, the attempt returned, after the backoff", () => {
    const story = withPrompts("a", "b");
    story.assign();
    story.acknowledge();
    story.cancel(true);
    expect(story.queued()).toEqual(["a", "b"]);
    expect(story.header("a")).toMatchObject({ attempts: 0, notBefore: 1_001_000 });
  });

  test("the same call again is answered again", () => {
    const story = withPrompts("a");
    story.assign();
    const { runId, generation } = story.claim();
    story.cancel(true);
    const bodyHash = `cancel ${runId}`;
    const again = { type: "cancel_run", runId, generation, requeue: true, bodyHash } as const;
    expect(story.do(again, "run_ended")).toEqual({ type: "run_ended", runId });
  });
});

describe("a run is handed back", () => {
  test("uncounted and due at once; the pooled lease ends", () => {
    const story = withPrompts("a");
    story.assign();
    story.acknowledge();
    const command = { type: "release_run", ...story.claim(), bodyHash: "release" } as const;
    expect(story.do(command, "released").released).toBe(true);
    expect(story.lastEvents()).toEqual(["run_returned", "lease_released"]);
    expect(story.header("a")).toMatchObject({ state: "queued", attempts: 0, notBefore: 0 });
    expect(story.state.endedRuns[0]).toMatchObject({ how: "released" });
    expect(story.do(command, "released").released).toBe(true);
  });

  test("by a stale holder: nothing happens", () => {
    const story = withPrompts("a");
    story.assign();
    const claim = { ...story.claim(), generation: 99 };
    const command = { type: "release_run", ...claim, bodyHash: "release" } as const;
    expect(story.do(command, "released").released).toBe(false);
    expect(stateNameOf(story.state)).toBe("running");
  });

  test("that never was, or of a runtime that nobody knows: refused", () => {
    const story = withPrompts("a");
    story.assign();
    const run = { ...story.claim(), runId: runIdOf("never") };
    story.refused({ type: "release_run", ...run, bodyHash: "release" }, "RUN_NOT_FOUND");
    const claim = story.claim();
    story.do({ type: "unregister_runtime", fenceExecutor: true }, "report");
    const command = { type: "release_run", ...claim, bodyHash: "release" } as const;
    const before = story.state;
    story.refused(command, "RUNTIME_NOT_REGISTERED");
    expect(story.state).toBe(before);
  });
});

describe("fencing (R10)", () => {
  test("a fenced executor cannot write to its run", () => {
    const story = withPrompts("a", "b");
    story.assign();
    story.acknowledge();
    const stale = { ...story.claim(), bodyHash: "stale" };
    const boundary = story.boundaryCommand(ids("a"));
    const complete = story.completeCommand();
    story.do({ type: "recover", fenceExecutor: true }, "report");
    const before = story.state;
    const refusal = story.refused(boundary, "LEASE_LOST");
    expect(refusal.metadata).toMatchObject({ generation: "1", currentGeneration: "2" });
    story.refused(complete, "LEASE_LOST");
    story.refused({ type: "fail_run", ...stale, error: "x", recoverable: true }, "LEASE_LOST");
    story.refused({ type: "cancel_run", ...stale, requeue: false }, "LEASE_LOST");
    story.refused({ type: "acknowledge_run", ...stale }, "LEASE_LOST");
    expect(story.state).toBe(before);
  });

  test("the holder of another generation learns who holds the runtime now", () => {
    const story = withPrompts("a");
    const stale = story.assign("first");
    story.now += 10_000;
    story.do({ type: "tick", acknowledgeTimeoutMs: 10_000 }, "ticked");
    story.assign("second");
    const { runId, generation } = stale;
    const refusal = story.refused({ type: "acknowledge_run", runId, generation }, "LEASE_LOST");
    expect(refusal.metadata).toMatchObject({ currentGeneration: "2", executorId: "second" });
  });

  test("a holder that names a run nobody knows", () => {
    const story = withPrompts("a");
    story.attach();
    story.assign();
    const { generation } = story.claim();
    const command = { type: "acknowledge_run", runId: runIdOf("other"), generation } as const;
    const refusal = story.refused(command, "RUN_NOT_FOUND");
    expect(refusal.metadata["currentRunId"]).toBe(story.run().runId);
  });
});
