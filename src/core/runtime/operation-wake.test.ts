import { expect, test } from "vitest";
import { inputIdOf, operationIdOf } from "../shared/ids.ts";
import { detachedContinuation } from "./operation-wake.ts";
import { continuation, prompt, registeredStory, type Story } from "./testing/story.ts";

/** The continuations that tell of completions, in order. */
function continuations(story: Story): readonly string[] {
  return story.commits.flatMap(({ events }) =>
    events.flatMap((event) => {
      if (event.type !== "input_admitted" || event.input.body.type !== "continuation") return [];
      const isOurs = event.input.body.reason === "detached_background_op_completed";
      return isOurs ? [event.input.inputId] : [];
    }),
  );
}

function operating(...names: readonly string[]): Story {
  const story = registeredStory();
  for (const name of names) story.operate(name);
  return story;
}

function runToItsEnd(story: Story): void {
  story.assign();
  story.boundary();
  story.complete();
}

test("a background completion wakes a quiescent runtime in its own commit", () => {
  const story = operating("a");
  story.finish("a");
  expect(story.lastEvents()).toEqual([
    "operation_completed",
    "input_admitted",
    "completions_observed",
  ]);
  expect(story.state.wake).toBe(true);
  expect(story.queued()).toEqual(continuations(story));
  expect(story.state.operations.cursors).toEqual({
    agentApplied: 0,
    runtimeObserved: 1,
    runtimeInjected: 1,
  });
});

test("the continuation is derived, of the system, steers, and is shown to nobody", () => {
  expect(detachedContinuation(inputIdOf("i"), 5)).toEqual({
    inputId: "i",
    createdAt: 5,
    source: { type: "system" },
    durability: "derived",
    transcriptEligible: false,
    operatorEligible: false,
    body: {
      type: "continuation",
      reason: "detached_background_op_completed",
      handlingMode: "steer",
    },
  });
});

test("whatever completes before a run takes the continuation is told of by it", () => {
  const story = operating("a", "b", "c", "d", "e");
  for (const name of ["a", "b", "c", "d", "e"]) story.finish(name);
  expect(continuations(story)).toHaveLength(1);
  runToItsEnd(story);
  expect(continuations(story)).toHaveLength(1);
  expect(story.queued()).toEqual([]);
});

test("what completes during a run is told of once the run is over", () => {
  const story = operating("a", "b");
  story.ingest("work", prompt("work"));
  story.assign();
  story.finish("a");
  story.finish("b");
  expect(continuations(story)).toEqual([]);
  expect(story.state.operations.cursors.runtimeObserved).toBe(0);
  story.boundary();
  story.complete();
  expect(story.lastEvents()).toEqual([
    "run_completed",
    "lease_released",
    "input_admitted",
    "completions_observed",
  ]);
  expect(continuations(story)).toHaveLength(1);
});

test("a continuation that a run has taken does not tell of what completes after", () => {
  const story = operating("a", "b");
  story.finish("a");
  story.assign();
  story.finish("b");
  expect(continuations(story)).toHaveLength(1);
  story.boundary();
  story.complete();
  expect(continuations(story)).toHaveLength(2);
});

test("a continuation that comes back from a failed run tells of everything until then", () => {
  const story = operating("a", "b", "c");
  story.finish("a");
  story.assign();
  story.finish("b");
  story.fail();
  story.finish("c");
  expect(continuations(story)).toHaveLength(1);
  expect(story.state.operations.cursors.runtimeInjected).toBe(3);
});

test("what is queued stands against a continuation until it is done", () => {
  const story = operating("a");
  story.ingest("work", prompt("work"));
  story.finish("a");
  expect(continuations(story)).toEqual([]);
  runToItsEnd(story);
  expect(continuations(story)).toHaveLength(1);
});

test("a member of a mob wakes nobody, but is looked at", () => {
  const story = registeredStory();
  story.operate("child", { kind: "mob_member_child" });
  story.finish("child");
  expect(continuations(story)).toEqual([]);
  expect(story.lastEvents()).toEqual(["operation_completed", "completions_observed"]);
  expect(story.state.operations.cursors).toEqual({
    agentApplied: 0,
    runtimeObserved: 1,
    runtimeInjected: 0,
  });
});

test("a retired runtime is woken when it takes inputs again", () => {
  const story = operating("a");
  story.do({ type: "retire", abandonIfUnattached: false }, "report");
  story.finish("a");
  expect(continuations(story)).toEqual([]);
  story.do({ type: "recycle" }, "report");
  expect(continuations(story)).toHaveLength(1);
});

test("what completed while unregistered comes back with the runtime", () => {
  const story = operating("a", "b");
  story.ingest("work", prompt("work"));
  story.assign();
  story.finish("a");
  story.do({ type: "unregister_runtime", fenceExecutor: true }, "report");
  story.ensure();
  expect(continuations(story)).toEqual([]);
  story.now += 60_000;
  runToItsEnd(story);
  expect(continuations(story)).toHaveLength(1);
});

test("Recover tells of what it terminated; Reset begins with nothing to tell", () => {
  const recovered = operating("a");
  recovered.do({ type: "recover", fenceExecutor: false }, "report");
  expect(continuations(recovered)).toHaveLength(1);
  const reset = operating("a");
  reset.do({ type: "reset" }, "report");
  expect(continuations(reset)).toEqual([]);
  const stopped = operating("a");
  stopped.do({ type: "stop" }, "report");
  stopped.do({ type: "reset" }, "report");
  expect(continuations(stopped)).toEqual([]);
});

test("a continuation of somebody else tells of nothing", () => {
  const story = operating("a");
  story.ingest("other", continuation());
  story.finish("a");
  expect(continuations(story)).toEqual([]);
  expect(story.state.operations.cursors.runtimeInjected).toBe(0);
});

test("every way to end wakes", () => {
  const story = operating("a", "b");
  const operationId = operationIdOf("a");
  story.do({ type: "cancel_operation", operationId }, "operation");
  runToItsEnd(story);
  story.do({ type: "terminate_owner", reason: "gone" }, "owner_terminated");
  expect(continuations(story)).toHaveLength(2);
});
