import { describe, expect, test } from "vitest";
import type { InputBody } from "./input.ts";
import { policyOf } from "./policy.ts";
import { externalEvent, peer, prompt, registeredStory, type Story } from "./testing/story.ts";

/** The policy of the requests that `peer` makes, whose intent is `ask`. */
function silence(story: Story, ...intents: readonly string[]): readonly string[] {
  return story.do({ type: "set_silent_intents", intents }, "silent_intents_set").intents;
}

/** What an admission led to: how it is applied, its lane, and whether the runtime was woken. */
function admitted(story: Story, name: string, body: InputBody): readonly (string | boolean)[] {
  expect(story.ingest(name, body).type).toBe("accepted");
  const { policy, lane = "none" } = story.header(name);
  return [policyOf(policy).applyMode, policyOf(policy).wakeMode, lane, story.state.wake];
}

describe("a peer's request", () => {
  test("match: is queued as context and wakes nobody", () => {
    const story = registeredStory();
    silence(story, "ask");
    const told = admitted(story, "a", peer("request"));
    expect(told).toEqual(["stage_run_start", "none", "queue", false]);
    expect(story.header("a").policy).toBe("1/peer_request/idle/silent");
    story.ingest("b", externalEvent());
    expect(story.assign().contributors).toEqual(["a", "b"]);
  });

  test("non-match: wakes as ever, also when the intent only begins the same", () => {
    for (const intents of [["asking"], ["as"], ["ASK"], []]) {
      const story = registeredStory();
      silence(story, ...intents);
      const told = admitted(story, "a", peer("request"));
      expect(told).toEqual(["stage_run_start", "wake_if_idle", "queue", true]);
    }
  });

  test("that steers keeps its lane, is applied at the start, and wakes nobody", () => {
    const idle = registeredStory();
    silence(idle, "ask");
    const told = admitted(idle, "a", peer("request", "steer"));
    expect(told).toEqual(["stage_run_start", "none", "steer", false]);
    const running = registeredStory();
    silence(running, "ask");
    running.ingest("first", prompt("first"));
    running.assign();
    const later = admitted(running, "a", peer("request", "steer"));
    expect(later).toEqual(["stage_run_start", "none", "steer", false]);
    expect(running.header("a").policy).toBe("1/steer/running/silent");
  });
});

test("message, response and prompt are never silent", () => {
  for (const body of [peer("message"), peer("response_terminal"), prompt("ask")]) {
    const story = registeredStory();
    silence(story, "ask");
    expect(admitted(story, "a", body)).toEqual(["stage_run_start", "wake_if_idle", "queue", true]);
  }
});

test("empty list: nothing is silent any more; what is queued stays as it is", () => {
  const story = registeredStory();
  silence(story, "ask");
  admitted(story, "a", peer("request"));
  silence(story);
  expect([story.state.wake, story.header("a").policy]).toEqual([
    false,
    "1/peer_request/idle/silent",
  ]);
  expect(admitted(story, "b", peer("request")).at(-1)).toBe(true);
});

test("a set replaces the one before; the same set again changes nothing", () => {
  const story = registeredStory();
  expect(silence(story, "b", "a", "b")).toEqual(["a", "b"]);
  const count = story.commits.length;
  expect(silence(story, "a", "b")).toEqual(["a", "b"]);
  expect(story.commits).toHaveLength(count);
  expect(silence(story, "c")).toEqual(["c"]);
});

test("the set survives recycle, reset, registration and a checkpoint", () => {
  const story = registeredStory();
  silence(story, "ask");
  story.do({ type: "recycle" }, "report");
  story.do({ type: "reset" }, "report");
  story.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
  story.ensure();
  story.reload();
  expect(story.state.silentIntents).toEqual(["ask"]);
  expect(admitted(story, "a", peer("request")).at(-1)).toBe(false);
});
