import { expect, test } from "vitest";
import { inputIdOf } from "../shared/ids.ts";
import { suffixOutcome } from "./cancel-inputs.ts";
import type { CancelSelection, RuntimeCommand } from "./commands.ts";
import { completionOf, settledInputs } from "./completion.ts";
import { envelopesOfCommit } from "./envelopes.ts";
import type { InputTarget } from "./input-target.ts";
import {
  continuation,
  externalEvent,
  prompt,
  registeredStory,
  type Story,
} from "./testing/story.ts";

const byId = (name: string): InputTarget => ({ inputId: inputIdOf(name) });
const byKey = (idempotencyKey: string): InputTarget => ({ idempotencyKey });

function cancelling(selection: CancelSelection, reason?: string): RuntimeCommand {
  return { type: "cancel_inputs", selection, ...(reason === undefined ? {} : { reason }) };
}

/** Cancels what is named; answers the outcomes as words. */
function cancel(story: Story, ...targets: readonly InputTarget[]): readonly string[] {
  const command = cancelling({ type: "targets", targets });
  const { answer } = story.do(command, "inputs_cancelled");
  if (answer.type !== "targets") throw new Error(`answered with ${answer.type}`);
  return answer.outcomes.map((outcome) => {
    switch (outcome.type) {
      case "already_claimed":
        return `${outcome.type} ${outcome.inputId} by ${outcome.runId}`;
      case "already_completed":
        return `${outcome.type} ${outcome.inputId} ${outcome.outcome.type}`;
      case "not_found":
        return outcome.type;
      default:
        return `${outcome.type} ${outcome.inputId}`;
    }
  });
}

/** Cancels a suffix; answers what became of every input of it. */
function cancelSuffix(story: Story, anchor: InputTarget): readonly string[] {
  const { ordinals, answer } = story.do(cancelling({ type: "suffix", anchor }), "inputs_cancelled");
  if (answer.type !== "suffix") return [answer.type];
  const { suffix } = answer;
  return [...story.state.admitted.entries(suffix.first)].map(([, inputId]) => {
    const outcome = suffixOutcome(story.header(inputId), ordinals, suffix);
    return `${inputId} ${outcome.type}`;
  });
}

test("what is named is evaluated in order, in one commit", () => {
  const story = registeredStory();
  story.ingest("done", prompt("done"));
  story.drain();
  story.ingest("a", prompt("a"), { idempotencyKey: "key-a" });
  story.ingest("b", externalEvent());
  story.ingest("c", continuation(), { idempotencyKey: "key-c" });
  const count = story.commits.length;
  const named = [byId("b"), byKey("key-a"), byId("a"), byId("done"), byId("x"), byKey("none")];
  expect(cancel(story, ...named)).toEqual([
    "cancelled b",
    "cancelled a",
    "already_cancelled a",
    "already_completed done consumed",
    "not_found",
    "not_found",
  ]);
  expect(story.commits).toHaveLength(count + 1);
  expect(story.queued()).toEqual(["c"]);
  expect(story.header("a").outcome).toEqual({
    type: "abandoned",
    reason: "cancelled",
    attempts: 0,
  });
  expect(cancel(story, byId("a"), byKey("key-c"))).toEqual(["already_cancelled a", "cancelled c"]);
});

test("what a run has claimed is left to it, staged or under a receipt", () => {
  const story = registeredStory();
  story.ingest("a", externalEvent());
  story.ingest("later", prompt("later"));
  const { runId } = story.assign();
  expect(cancel(story, byId("a"))).toEqual([`already_claimed a by ${runId}`]);
  story.boundary();
  expect(cancel(story, byId("a"), byId("later"))).toEqual([
    `already_claimed a by ${runId}`,
    "cancelled later",
  ]);
  story.complete();
  expect(story.header("a").state).toBe("consumed");
  expect(story.state.wake).toBe(false);
});

test("a suffix is everything from its anchor on, in whatever lane and state, as one event", () => {
  const story = registeredStory();
  story.ingest("before", prompt("before"));
  story.drain();
  story.ingest("anchor", prompt("anchor"));
  story.drain();
  story.ingest("claimed", prompt("claimed"));
  story.assign();
  story.ingest("steer", continuation());
  story.ingest("queue", externalEvent());
  expect(cancelSuffix(story, byId("anchor"))).toEqual([
    "anchor already_completed",
    "claimed already_claimed",
    "steer cancelled",
    "queue cancelled",
  ]);
  expect(story.lastEvents()).toEqual(["inputs_cancelled"]);
  expect(story.commits.at(-1)?.events).toMatchObject([{ ordinals: [[4, 5]] }]);
  expect(cancelSuffix(story, byId("steer"))).toEqual([
    "steer already_cancelled",
    "queue already_cancelled",
  ]);
});

test("a suffix without its anchor cancels nothing", () => {
  const story = registeredStory();
  story.ingest("a", prompt("a"));
  const count = story.commits.length;
  expect(cancelSuffix(story, byKey("none"))).toEqual(["anchor_not_found"]);
  expect([story.commits.length, story.queued()]).toEqual([count, ["a"]]);
});

test("forgotten inputs are found in their records, as targets and as anchors", () => {
  const story = registeredStory();
  story.ingest("old", prompt("old"), { idempotencyKey: "key-old" });
  story.drain();
  story.ingest("gone", prompt("gone"));
  cancel(story, byId("gone"));
  story.ingest("new", prompt("new"));
  story.forget();
  expect(story.state.inputs.size).toBe(1);
  expect(cancel(story, byKey("key-old"), byId("gone"))).toEqual([
    "already_completed old consumed",
    "already_cancelled gone",
  ]);
  expect(cancelSuffix(story, byKey("key-old"))).toEqual(["new cancelled"]);
});

test("the waiters of cancelled inputs are told in the same commit, with the reason", () => {
  const story = registeredStory();
  story.ingest("a", prompt("a"));
  story.ingest("b", prompt("b"));
  const targets = [byId("b")];
  story.do(cancelling({ type: "targets", targets }, "typed by mistake"), "inputs_cancelled");
  const commit = story.commits.at(-1);
  const [event] = commit?.events ?? [];
  if (commit === undefined || event === undefined) throw new Error("no commit");
  expect(settledInputs(commit.before, event)).toEqual(["b"]);
  expect(completionOf(story.header("b"), commit.events)).toEqual({
    type: "abandoned",
    reason: "cancelled",
    attempts: 0,
    detail: "typed by mistake",
  });
  const { before, events, revision, at } = commit;
  expect(envelopesOfCommit(before, events, revision, at)).toMatchObject([
    {
      eventCode: "input.abandoned",
      event: { inputId: "b", change: { reason: "cancelled", detail: "typed by mistake" } },
    },
  ]);
});

test("an input whose key is taken by a cancelled one stays a duplicate", () => {
  const story = registeredStory();
  story.ingest("a", prompt("a"), { idempotencyKey: "key" });
  cancel(story, byKey("key"));
  expect(story.ingest("b", prompt("a"), { idempotencyKey: "key" })).toMatchObject({
    type: "deduplicated",
    existingId: "a",
  });
});

test("a cancellation keeps to its preconditions, and unregistered runtimes refuse it", () => {
  const story = registeredStory();
  story.ingest("a", prompt("a"));
  const selection = { type: "targets", targets: [byId("a")] } as const;
  story.refused({ type: "cancel_inputs", selection, expectedState: "running" }, "STATE_MISMATCH");
  story.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
  story.refused({ type: "cancel_inputs", selection }, "RUNTIME_NOT_REGISTERED");
  expect(story.header("a").state).toBe("queued");
});
