import { describe, expect, test } from "vitest";
import { externalEvent, peer, prompt, registeredStory } from "./testing/story.ts";

describe("supersession (decision 8)", () => {
  test("a later input of the same kind and key replaces the queued one", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"), { supersessionKey: "draft" });
    story.ingest("b", prompt("2"));
    story.ingest("c", prompt("3"), { supersessionKey: "draft" });
    expect(story.queued()).toEqual(["b", "c"]);
    expect(story.lastEvents()).toEqual(["input_admitted", "input_superseded"]);
    expect(story.header("a")).toMatchObject({
      state: "superseded",
      outcome: { type: "superseded", supersededBy: "c" },
      completedRevision: 4,
    });
    expect(story.state.counts).toMatchObject({ accepted: 3, queued: 2, superseded: 1 });
  });

  test("progress of a response coalesces", () => {
    const story = registeredStory();
    story.ingest("a", peer("response_progress"), { supersessionKey: "request-1" });
    story.ingest("b", peer("response_progress"), { supersessionKey: "request-1" });
    expect(story.header("a")).toMatchObject({
      state: "coalesced",
      outcome: { type: "coalesced", aggregateId: "b" },
    });
    expect(story.queued()).toEqual(["b"]);
  });

  test("progress without a key stands alone", () => {
    const story = registeredStory();
    story.ingest("a", peer("response_progress"));
    story.ingest("b", peer("response_progress"));
    expect(story.queued()).toEqual(["a", "b"]);
  });

  test("another kind with the same key is left alone", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"), { supersessionKey: "k" });
    story.ingest("b", externalEvent(), { supersessionKey: "k" });
    story.ingest("c", peer("message"), { supersessionKey: "k" });
    expect(story.queued()).toEqual(["a", "b", "c"]);
  });

  test("a key that is the beginning of another one is another key", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"), { supersessionKey: "draft-2" });
    story.ingest("b", prompt("2"), { supersessionKey: "draft" });
    expect(story.queued()).toEqual(["a", "b"]);
  });

  test("a staged input is never superseded", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"), { supersessionKey: "k" });
    story.assign();
    story.ingest("b", prompt("2"), { supersessionKey: "k" });
    expect([story.header("a").state, story.queued()]).toEqual(["staged", ["b"]]);
  });

  test("one that rolled back is replaced together with the one that waited", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"), { supersessionKey: "k" });
    story.assign();
    story.ingest("b", prompt("2"), { supersessionKey: "k" });
    story.cancel(true);
    expect(story.queued()).toEqual(["a", "b"]);
    story.reload();
    story.ingest("c", prompt("3"), { supersessionKey: "k" });
    expect(story.queued()).toEqual(["c"]);
    expect([story.header("a").state, story.header("b").state]).toEqual([
      "superseded",
      "superseded",
    ]);
  });

  test("the lane of the old one does not matter", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1", "steer"), { supersessionKey: "k" });
    story.ingest("b", prompt("2"), { supersessionKey: "k" });
    expect(story.queued()).toEqual(["b"]);
  });
});
