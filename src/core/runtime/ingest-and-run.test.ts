import { describe, expect, test } from "vitest";
import { runtimeAggregate } from "./aggregate.ts";
import type { RuntimeCommand } from "./commands.ts";
import type { InputBody } from "./input.ts";
import { stateNameOf } from "./table.ts";
import {
  executor,
  ingestCommand,
  type InputTraits,
  operation,
  prompt,
  registeredStory,
  Story,
} from "./testing/story.ts";

/** Executor `caller` takes an input in and wants to run it. */
function taking(name: string, body: InputBody = prompt(name), traits: InputTraits = {}) {
  return {
    type: "ingest_and_run",
    ingest: ingestCommand(name, body, { withoutWake: true, ...traits }),
    ...executor("caller"),
    ttlMs: 30_000,
  } as const satisfies RuntimeCommand;
}

test("one commit admits the input, grants the lease and starts the run, acknowledged", () => {
  const story = registeredStory();
  const { header, run } = story.do(taking("a"), "run_taken");
  expect(story.lastEvents()).toEqual([
    "input_admitted",
    "lease_granted",
    "run_started",
    "run_acknowledged",
  ]);
  expect(run).toEqual({ runId: story.run().runId, generation: 1, inputIds: ["a"] });
  expect(header).toMatchObject({ inputId: "a", state: "queued", attempts: 0 });
  expect(story.run()).toMatchObject({ acknowledged: true, attempt: 1, staged: ["a"] });
  expect(story.state).toMatchObject({ wake: false, lease: { named: false, generation: 1 } });
  expect(stateNameOf(story.state)).toBe("running");
  story.boundary();
  story.complete();
  expect([stateNameOf(story.state), story.header("a").state]).toEqual(["idle", "consumed"]);
});

test("the same call is answered with the same run, also when it brings a fresh id", () => {
  const story = registeredStory();
  const first = story.do(taking("a"), "run_taken");
  const commit = story.commits.at(-1);
  if (commit === undefined) throw new Error("no commit");
  const { revision, at, events } = commit;
  const again = runtimeAggregate.answer(taking("fresh"), events, { revision, index: 0, at });
  expect(again).toEqual(first);
});

test("a runtime that nobody ensured is registered on the fly when asked", () => {
  const story = new Story();
  story.refused(taking("a"), "RUNTIME_NOT_REGISTERED");
  story.do(taking("a", prompt("a"), { ensure: true }), "run_taken");
  expect(story.lastEvents()[0]).toBe("runtime_registered");
});

test("an attached caller runs under the lease that it has", () => {
  const story = registeredStory();
  const { generation } = story.attach("caller");
  const { run } = story.do(taking("a"), "run_taken");
  expect(run.generation).toBe(generation);
  expect(story.lastEvents()).not.toContain("lease_granted");
  story.boundary();
  story.complete();
  expect(stateNameOf(story.state)).toBe("attached");
});

describe("refused, and nothing is changed:", () => {
  test("accept_input_and_run_rejects_deduplicated_admission, active and terminal", () => {
    const active = registeredStory();
    active.ingest("a", prompt("a"), { idempotencyKey: "key" });
    const keyed = taking("b", prompt("a"), { idempotencyKey: "key" });
    const refusal = active.refused(keyed, "INPUT_ALREADY_ADMITTED");
    expect(refusal.metadata).toMatchObject({ existingId: "a", inputId: "b" });
    expect(active.queued()).toEqual(["a"]);
    active.drain();
    active.refused(keyed, "INPUT_ALREADY_ADMITTED");
    active.forget();
    active.refused(keyed, "INPUT_ALREADY_ADMITTED");
    active.refused(taking("a"), "INPUT_ALREADY_ADMITTED");
  });

  test("while another input is not over, queued or backing off", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    const refusal = story.refused(taking("b"), "INPUTS_ACTIVE");
    expect(refusal.metadata).toEqual({ runtimeId: "runtime-1", active: "1" });
    story.assign();
    story.refused(taking("b"), "RUN_IN_FLIGHT");
    story.fail();
    story.refused(taking("b"), "INPUTS_ACTIVE");
    story.now += 2_000;
    story.drain();
    story.do(taking("b"), "run_taken");
  });

  test("while somebody else holds the runtime", () => {
    const story = registeredStory();
    story.attach("other");
    const refusal = story.refused(taking("a"), "LEASE_HELD");
    expect(refusal.metadata).toMatchObject({ executorId: "other", generation: "1" });
  });

  test("what Ingest rejects, and why", () => {
    const story = registeredStory();
    story.do({ type: "retire", abandonIfUnattached: false }, "report");
    const retired = story.refused(taking("a"), "INPUT_REJECTED");
    expect(retired.metadata).toMatchObject({ rejection: "not_ready", state: "retired" });
    story.do({ type: "stop" }, "report");
    const stopped = story.refused(taking("a"), "INPUT_REJECTED");
    expect(stopped.metadata).toMatchObject({ rejection: "not_ready", state: "stopped" });
    const derived = taking("a", prompt("a"), { durability: "derived" });
    const { metadata } = registeredStory().refused(derived, "INPUT_REJECTED");
    expect(metadata).toMatchObject({ rejection: "durability_violation" });
  });

  test("an operation, which is consumed on accept", () => {
    const story = registeredStory();
    const count = story.commits.length;
    const { metadata } = story.refused(taking("a", operation()), "INPUT_NOT_RUNNABLE");
    expect([metadata, story.commits.length]).toEqual([{ kind: "operation" }, count]);
  });
});

test("a caller that vanishes is a lapsed lease: the attempt counts, the input comes back", () => {
  const story = registeredStory();
  story.do(taking("a"), "run_taken");
  const { runId, generation } = story.run();
  const bodyHash = "late";
  story.do({ type: "lapse_lease", ...executor("caller") }, "released");
  expect(story.header("a")).toMatchObject({ state: "queued", attempts: 1 });
  expect(story.state).toMatchObject({ wake: true, lease: null, run: null });
  story.refused({ type: "cancel_run", runId, generation, requeue: false, bodyHash }, "LEASE_LOST");
  story.now += 2_000;
  expect(story.assign("worker").contributors).toEqual(["a"]);
});

test("a run that its caller fails leaves the input queued for whoever serves the pool", () => {
  const story = registeredStory();
  story.do(taking("a"), "run_taken");
  story.fail();
  expect([story.header("a").state, stateNameOf(story.state), story.state.wake]).toEqual([
    "queued",
    "idle",
    true,
  ]);
});
