import { describe, expect, test } from "vitest";
import { completionOf, type InputCompletion, settledInputs, waitsEndedBy } from "./completion.ts";
import type { RunOutcome } from "./input.ts";
import { externalEvent, operation, peer, prompt, registeredStory } from "./testing/story.ts";
import type { Story } from "./testing/story.ts";

/** What a waiter of an input is told, from what is stored. */
function completion(story: Story, name: string): InputCompletion {
  const header = story.header(name);
  const commit = story.commits[(header.completedRevision ?? 0) - 1];
  return completionOf(header, commit?.events ?? []);
}

/** The inputs that the last commit settles, in order. */
function settled(story: Story): readonly string[] {
  const commit = story.commits.at(-1);
  let state = commit?.before ?? story.state;
  const replay = registeredStory();
  return (commit?.events ?? []).flatMap((event) => {
    const inputIds = settledInputs(state, event);
    replay.state = state;
    replay.commit([event]);
    state = replay.state;
    return inputIds;
  });
}

function completedWith(outcome: RunOutcome): Story {
  const story = registeredStory();
  story.ingest("a", externalEvent());
  story.ingest("b", externalEvent());
  story.assign();
  story.boundary();
  story.complete(outcome);
  return story;
}

describe("completions (decision 10)", () => {
  test("a result is shared by all inputs of the run", () => {
    const result = { text: "done", structured: { files: 2 }, usage: { input_tokens: 10 } };
    const story = completedWith({ type: "result", result });
    expect(completion(story, "a")).toEqual({ type: "completed", result });
    expect(completion(story, "b")).toEqual({ type: "completed", result });
    expect(settled(story)).toEqual(["a", "b"]);
  });

  test("completion_handle_resolves_without_result", () => {
    expect(completion(completedWith({ type: "none" }), "a")).toEqual({
      type: "completed_without_result",
    });
  });

  test("a run that waits for a tool outside", () => {
    const story = completedWith({ type: "callback_pending", toolName: "ask", args: { q: 1 } });
    expect(completion(story, "a")).toEqual({
      type: "callback_pending",
      toolName: "ask",
      args: { q: 1 },
    });
  });

  test("an input consumed on accept completes without result at once", () => {
    const story = registeredStory();
    story.ingest("a", operation());
    expect([completion(story, "a").type, settled(story)]).toEqual([
      "completed_without_result",
      ["a"],
    ]);
  });

  test("a waiter of an input whose run failed keeps waiting while the input is queued", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    expect(completion(story, "a")).toEqual({ type: "pending", state: "queued" });
    story.assign();
    story.fail();
    expect([completion(story, "a"), settled(story)]).toEqual([
      { type: "pending", state: "queued" },
      [],
    ]);
  });

  test("abandoned with the error of its run", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.assign();
    story.fail(false);
    expect(completion(story, "a")).toEqual({
      type: "abandoned",
      reason: "run_failed",
      attempts: 1,
      detail: "model unavailable",
    });
    expect(settled(story)).toEqual(["a"]);
  });

  test("cancelled", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.assign();
    story.cancel(false);
    expect(completion(story, "a")).toEqual({ type: "abandoned", reason: "cancelled", attempts: 1 });
  });

  test("consumed under a receipt by a run that failed: completed without result", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.assign();
    story.boundary();
    story.fail(false);
    expect([completion(story, "a").type, settled(story)]).toEqual([
      "completed_without_result",
      ["a"],
    ]);
  });

  test("superseded and coalesced, in the commit of the later input", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"), { supersessionKey: "k" });
    story.ingest("b", prompt("2"), { supersessionKey: "k" });
    expect(settled(story)).toEqual(["a"]);
    story.ingest("c", peer("response_progress"), { supersessionKey: "k" });
    story.ingest("d", peer("response_progress"), { supersessionKey: "k" });
    expect([completion(story, "a"), completion(story, "c")]).toEqual([
      { type: "superseded", supersededBy: "b" },
      { type: "coalesced", aggregateId: "d" },
    ]);
  });

  test("reset_runtime_resolves_pending_waiters; stop, destroy and retire too", () => {
    const cases = [
      [{ type: "reset" }, "reset"],
      [{ type: "stop" }, "stopped"],
      [{ type: "destroy" }, "destroyed"],
      [{ type: "retire", abandonIfUnattached: true }, "retired"],
    ] as const;
    for (const [command, reason] of cases) {
      const story = registeredStory();
      story.ingest("a", prompt("a"));
      story.do(command, "report");
      expect(completion(story, "a")).toEqual({ type: "runtime_terminated", reason });
      expect(settled(story)).toEqual(["a"]);
    }
  });

  test("unregister_session_terminates_pending_completion_waiters, the inputs stay", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
    const ended = story.commits.at(-1)?.events.map((event) => waitsEndedBy(event));
    expect(ended).toEqual([{ type: "runtime_terminated", reason: "unregistered" }]);
    expect(completion(story, "a")).toEqual({ type: "pending", state: "queued" });
  });

  test("recycle_keeps_waiters_for_preserved_pending_input", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.do({ type: "recycle" }, "report");
    const ended = story.commits.at(-1)?.events.map((event) => waitsEndedBy(event));
    expect([ended, settled(story)]).toEqual([[undefined], []]);
  });

  test("retire_drains_waited_progress_work_to_completion", () => {
    const story = registeredStory();
    story.ingest("a", peer("response_progress"));
    story.attach();
    const report = story.do({ type: "retire", abandonIfUnattached: false }, "report");
    story.drain();
    expect([report.inputsPendingDrain, completion(story, "a").type]).toEqual([
      1,
      "completed_without_result",
    ]);
  });
});
