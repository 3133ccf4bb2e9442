// Names that are given once: no two processes of one name stand beside each other in a scope (G8).
import { expect, test } from "vitest";
import { type ProcessId, processIdOf, sessionIdOf } from "../shared/ids.ts";
import { formerVerdictOn, transferDeliveriesOf } from "./open-work.ts";
import { type Outcome, type SessionStory, sessionStory } from "./testing/session-story.ts";

const PREFIX = "task:n:";
const A = processIdOf("task:n:a");
const B = processIdOf("task:n:b");
const SOURCE = sessionIdOf("source");

function grant(story: SessionStory, processId: ProcessId, ...except: ProcessId[]): Outcome {
  const soleName = { prefix: PREFIX, except };
  return story.ask({ type: "grant_handle", frameId: "", processId, descriptor: {}, soleName });
}

function accept(
  story: SessionStory,
  serial: number,
  processId: ProcessId,
  ...except: ProcessId[]
): Outcome {
  return story.ask({
    type: "accept_transfer",
    fromSessionId: SOURCE,
    serial,
    settledBelow: 1,
    toFrameId: "",
    handles: [{ processId, descriptor: {} }],
    begunAt: 500,
    soleNames: [{ prefix: PREFIX, except }],
  });
}

const TAKEN = { kind: "refused", reason: "TASK_ALREADY_EXISTS" };

test("a name is granted once, and again when its holder ended", () => {
  const story = sessionStory();
  expect(grant(story, A)).toMatchObject({ kind: "committed" });
  expect(grant(story, B)).toEqual(TAKEN);
  expect(grant(story, A)).toMatchObject({ kind: "answered", reply: { created: false } });
  story.confirm();
  expect(grant(story, B)).toEqual(TAKEN);
  expect(grant(story, B, A)).toMatchObject({ kind: "committed" });
});

test("neighbours of a name do not have it, nor do other frames", () => {
  const story = sessionStory();
  for (const name of ["task:m:z", "task:n", "task:o:a"]) story.grant(name);
  story.grant("task:n:b", "frame");
  expect(grant(story, A)).toMatchObject({ kind: "committed" });
});

test("a name that is leaving is not free: it may come back", () => {
  const story = sessionStory();
  story.grant("task:n:a");
  story.begin("elsewhere", "task:n:a");
  expect(grant(story, B)).toEqual(TAKEN);
  expect(accept(story, 1, B)).toMatchObject({ reply: { verdict: "name_taken" } });
  story.ask({ type: "settle_transfer", serial: 1, verdict: "accepted" });
  expect(grant(story, B)).toMatchObject({ kind: "committed" });
});

test("a transfer that was declined is never taken in, whatever comes later", () => {
  const target = sessionStory();
  target.grant("task:n:b");
  expect(accept(target, 1, A)).toMatchObject({
    kind: "committed",
    reply: { type: "verdict", verdict: "name_taken" },
  });
  target.ask({ type: "revoke_handle", frameId: "", processId: B });
  target.confirm();
  expect(accept(target, 1, A)).toEqual({
    kind: "answered",
    reply: { type: "verdict", verdict: "name_taken" },
  });
  expect(accept(target, 2, A)).toMatchObject({ reply: { verdict: "accepted" } });
  expect([1, 2].map((serial) => formerVerdictOn(target.state(), SOURCE, serial))).toEqual([
    "name_taken",
    "accepted",
  ]);
});

test("an intent carries the names that the target must have free", () => {
  const story = sessionStory();
  story.grant("task:n:a");
  const toSessionId = sessionIdOf("target");
  const scopes = { fromFrameId: "", toFrameId: "", toSessionId, processIds: [A] };
  story.ask({ type: "begin_transfer", ...scopes, solePrefixes: [PREFIX] });
  expect(transferDeliveriesOf(story.state())).toMatchObject([{ solePrefixes: [PREFIX] }]);
  story.ask({ type: "settle_transfer", serial: 1, verdict: "name_taken" });
  expect(story.shown()).toEqual(["task:n:a"]);
});
