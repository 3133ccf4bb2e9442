import { describe, expect, test } from "vitest";
import {
  continuation,
  executor,
  externalEvent,
  ids,
  prompt,
  registeredStory,
  type Story,
} from "./testing/story.ts";
import { stateNameOf } from "./table.ts";

function assignCommand(name: string) {
  return {
    type: "assign_run",
    ...executor(name),
    ttlMs: 30_000,
    batchInputsMax: 1_000,
    batchBytesMax: 4_194_304,
  } as const;
}

/** A runtime with the given prompts queued. */
function withPrompts(...names: readonly string[]): Story {
  const story = registeredStory();
  for (const name of names) story.ingest(name, prompt(name));
  return story;
}

describe("a run starts", () => {
  test("at an executor of the pool, which gets the lease with it", () => {
    const story = withPrompts("a", "b");
    const run = story.assign();
    expect(run).toMatchObject({
      generation: 1,
      attempt: 1,
      acknowledged: false,
      contributors: ["a"],
      staged: ["a"],
    });
    expect(story.lastEvents()).toEqual(["lease_granted", "run_started"]);
    expect(story.state.lease).toMatchObject({ executorId: "worker", named: false });
    expect([stateNameOf(story.state), story.state.wake]).toEqual(["running", false]);
    expect(story.header("a")).toMatchObject({ state: "staged", lastRunId: run.runId, attempts: 0 });
  });

  test("stage_input_keeps_queue_projection_aligned", () => {
    const story = withPrompts("a", "b", "c");
    story.assign();
    expect(story.queued()).toEqual(["b", "c"]);
    story.ingest("d", prompt("d"));
    expect(story.queued()).toEqual(["b", "c", "d"]);
  });

  test("under the same lease where the executor holds it already", () => {
    const story = withPrompts("a");
    const { generation } = story.attach();
    expect(story.assign().generation).toBe(generation);
    expect(story.lastEvents()).toEqual(["run_started"]);
  });

  test("is refused while another executor holds the runtime", () => {
    const story = withPrompts("a");
    story.attach("first");
    const refusal = story.refused(assignCommand("second"), "LEASE_HELD");
    expect(refusal.metadata).toMatchObject({
      executorId: "first",
      incarnationId: "first-1",
      generation: "1",
    });
  });

  test("is refused with the reason while nothing can run", () => {
    const story = registeredStory();
    const reason = () => story.refused(assignCommand("w"), "NOT_RUNNABLE").metadata["reason"];
    expect(reason()).toBe("nothing_queued");
    story.ingest("a", prompt("a"), { withoutWake: true });
    expect(reason()).toBe("not_woken");
    story.ingest("b", prompt("b"));
    story.assign();
    expect(reason()).toBe("run_in_flight");
    story.fail();
    const refusal = story.refused(assignCommand("w"), "NOT_RUNNABLE");
    expect([refusal.metadata["reason"], refusal.retryAfterMs]).toEqual(["backing_off", 1_000]);
  });
});

describe("an attempt counts from the acknowledgement on", () => {
  test("an acknowledgement counts once", () => {
    const story = withPrompts("a");
    story.assign();
    expect(story.header("a").attempts).toBe(0);
    story.acknowledge();
    expect([story.header("a").attempts, story.run().acknowledged]).toEqual([1, true]);
    const { commits } = story;
    const count = commits.length;
    story.acknowledge();
    expect(commits).toHaveLength(count);
  });

  test("the first write of the executor acknowledges", () => {
    for (const end of ["boundary", "fail"] as const) {
      const story = withPrompts("a");
      story.assign();
      if (end === "boundary") story.boundary();
      else story.fail();
      expect(story.header("a").attempts).toBe(1);
    }
  });

  test("a run that nobody acknowledged in time is taken back uncounted, without a wait", () => {
    const story = withPrompts("a", "b");
    story.assign();
    story.now += 9_999;
    const tick = { type: "tick", acknowledgeTimeoutMs: 10_000 } as const;
    story.do(tick, "ticked");
    expect(stateNameOf(story.state)).toBe("running");
    story.now += 1;
    story.do(tick, "ticked");
    expect(story.lastEvents()).toEqual(["run_returned", "lease_released"]);
    expect([stateNameOf(story.state), story.queued()]).toEqual(["idle", ["a", "b"]]);
    expect(story.header("a")).toMatchObject({ state: "queued", attempts: 0, notBefore: 0 });
    expect(story.assign("other").generation).toBe(2);
  });

  test("an acknowledged run is never taken back by a tick", () => {
    const story = withPrompts("a");
    story.assign();
    story.acknowledge();
    story.now += 60_000;
    story.do({ type: "tick", acknowledgeTimeoutMs: 10_000 }, "ticked");
    expect(stateNameOf(story.state)).toBe("running");
  });
});

describe("boundaries", () => {
  test("a receipt is minted in the commit: sequence from 0, contributors in order", () => {
    const story = registeredStory();
    story.ingest("a", externalEvent());
    story.ingest("b", externalEvent());
    const { runId } = story.assign();
    const first = story.boundary();
    expect(first.receipt).toMatchObject({
      ordinal: 1,
      runId,
      sequence: 0,
      boundary: "run_start",
      contributors: ["a", "b"],
      messageCount: 2,
      revision: 5,
    });
    const second = story.do(story.boundaryCommand([]), "boundary");
    expect(second.receipt).toMatchObject({
      ordinal: 2,
      sequence: 1,
      boundary: "run_checkpoint",
      contributors: [],
    });
    expect(story.header("a")).toMatchObject({
      state: "applied_pending_consumption",
      lastBoundarySequence: 0,
    });
  });

  test("store_contract_commits_authoritative_receipts: digest and count are the executor's", () => {
    const story = withPrompts("a");
    story.assign();
    const conversationDigest = "ab".repeat(32);
    const command = { ...story.boundaryCommand(ids("a")), conversationDigest, messageCount: 12 };
    const { receipt } = story.do(command, "boundary");
    expect(receipt).toMatchObject({ conversationDigest, messageCount: 12, sequence: 0 });
    expect(story.state.receipts.get(1)).toEqual(receipt);
  });

  test("the first boundary names exactly what is staged, in order", () => {
    const story = registeredStory();
    story.ingest("a", externalEvent());
    story.ingest("b", externalEvent());
    story.assign();
    for (const named of [ids(), ids("a"), ids("b", "a"), ids("a", "b", "c")]) {
      const refusal = story.refused(story.boundaryCommand(named), "CONTRIBUTORS_MISMATCH");
      expect(refusal.metadata["expected"]).toBe("2");
    }
    story.boundary();
  });

  test("the same boundary again is answered as the first time (decision 14)", () => {
    const story = withPrompts("a");
    story.assign();
    const command = story.boundaryCommand(ids("a"));
    const first = story.do(command, "boundary");
    const count = story.commits.length;
    expect(story.do(command, "boundary")).toEqual(first);
    story.complete();
    expect(story.do(command, "boundary")).toEqual(first);
    expect(story.commits).toHaveLength(count + 1);
  });

  test("steer inputs join the run where the boundary accepts them (decision 11)", () => {
    const story = withPrompts("a", "b");
    story.assign();
    story.ingest("s1", prompt("s1", "steer"));
    story.ingest("s2", continuation());
    const first = story.do(story.boundaryCommand(ids("a"), false), "boundary");
    expect([first.steered, story.queued()]).toEqual([[], ["s1", "s2", "b"]]);
    const second = story.do(story.boundaryCommand([], true), "boundary");
    expect([second.steered, story.queued()]).toEqual([["s1", "s2"], ["b"]]);
    expect(story.run()).toMatchObject({ contributors: ["a", "s1", "s2"], staged: ["s1", "s2"] });
    expect(story.header("s1")).toMatchObject({ state: "staged", attempts: 1 });
    story.do(story.boundaryCommand(ids("s1", "s2")), "boundary");
    story.complete();
    expect(story.state.counts).toMatchObject({ consumed: 3, queued: 1 });
  });

  test("a later boundary may leave joined inputs staged, naming none", () => {
    const story = withPrompts("a");
    story.assign();
    story.ingest("s", prompt("s", "steer"));
    story.boundary(true);
    story.do(story.boundaryCommand([]), "boundary");
    expect(story.run().staged).toEqual(["s"]);
    story.refused(story.completeCommand(), "CONTRIBUTORS_NOT_APPLIED");
  });

  test("a run may have more boundaries than are remembered for repetition", () => {
    const story = withPrompts("a");
    story.assign();
    story.boundary();
    for (let sequence = 1; sequence < 70; sequence += 1) {
      const command = { ...story.boundaryCommand([]), bodyHash: `body ${sequence}` };
      expect(story.do(command, "boundary").receipt.sequence).toBe(sequence);
    }
    expect(story.run().boundaries).toHaveLength(64);
    expect(story.state.receipts.size).toBe(70);
  });
});
