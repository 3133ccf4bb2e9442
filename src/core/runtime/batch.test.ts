import { describe, expect, test } from "vitest";
import { hindranceOf, runnableSince, selectBatch } from "./batch.ts";
import {
  continuation,
  externalEvent,
  peer,
  prompt,
  registeredStory,
  type Story,
} from "./testing/story.ts";

const WIDE = { inputsMax: 1_000, bytesMax: 4_194_304 };

function batch(story: Story, limits = WIDE): readonly string[] {
  return selectBatch(story.state, story.now, limits);
}

describe("batch selection", () => {
  test("steer prefix priority: the steer lane goes first, as a whole", () => {
    const story = registeredStory();
    story.ingest("queued", prompt("1"));
    story.ingest("steer-1", prompt("2", "steer"));
    story.ingest("steer-2", continuation());
    story.ingest("steer-3", peer("response_progress"));
    expect(batch(story)).toEqual(["steer-1", "steer-2", "steer-3"]);
  });

  test("a prompt at the head of the queue lane runs alone (decision 7)", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"));
    story.ingest("b", prompt("2"));
    story.ingest("c", externalEvent());
    expect(batch(story)).toEqual(["a"]);
  });

  test("other inputs run together up to the next prompt", () => {
    const story = registeredStory();
    story.ingest("a", externalEvent());
    story.ingest("b", peer("message"));
    story.ingest("c", prompt("1"));
    story.ingest("d", externalEvent());
    expect(batch(story)).toEqual(["a", "b"]);
  });

  test("a recovered prompt still runs alone", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"));
    story.ingest("b", prompt("2"));
    story.assign();
    story.do({ type: "recover", fenceExecutor: true }, "report");
    story.reload();
    expect([batch(story), story.queued()]).toEqual([["a"], ["a", "b"]]);
  });

  test("a batch stops at the number of inputs and at the bytes", () => {
    const story = registeredStory();
    for (const name of ["a", "b", "c", "d"]) {
      story.ingest(name, externalEvent(), { payloadBytes: 400 });
    }
    expect(batch(story, { inputsMax: 3, bytesMax: 10_000 })).toEqual(["a", "b", "c"]);
    expect(batch(story, { inputsMax: 10, bytesMax: 800 })).toEqual(["a", "b"]);
  });

  test("the first input is taken whatever its size", () => {
    const story = registeredStory();
    story.ingest("a", externalEvent(), { payloadBytes: 5_000 });
    story.ingest("b", externalEvent());
    expect(batch(story, { inputsMax: 10, bytesMax: 1_000 })).toEqual(["a"]);
  });
});

describe("backoff", () => {
  test("while the head of a lane backs off, that lane waits and the other goes on", () => {
    const story = registeredStory();
    story.ingest("steer", prompt("1", "steer"));
    story.ingest("queued", prompt("2"));
    story.assign();
    story.acknowledge();
    story.fail();
    story.ingest("late steer", prompt("3", "steer"));
    expect(batch(story)).toEqual(["queued"]);
    story.now += 1_000;
    expect(batch(story)).toEqual(["steer", "late steer"]);
  });

  test("a lane whose head backs off is runnable in the future", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"));
    story.assign();
    story.acknowledge();
    story.fail();
    story.ingest("b", prompt("2"));
    expect(batch(story)).toEqual([]);
    expect(runnableSince(story.state)).toBe(1_001_000);
    expect(hindranceOf(story.state, story.now)).toEqual({
      reason: "backing_off",
      availableAt: 1_001_000,
    });
    expect(hindranceOf(story.state, 1_001_000)).toBeUndefined();
  });
});

describe("runnable (decision 6)", () => {
  test("needs a wake, something queued, no run, and an open or retired runtime", () => {
    const story = registeredStory();
    const reason = () => hindranceOf(story.state, story.now)?.reason;
    expect(reason()).toBe("nothing_queued");
    story.ingest("a", prompt("1"), { withoutWake: true });
    expect(reason()).toBe("not_woken");
    story.now += 5;
    story.ingest("b", prompt("2"));
    expect([reason(), runnableSince(story.state)]).toEqual([undefined, 1_000_005]);
    story.assign();
    expect([reason(), runnableSince(story.state)]).toEqual(["run_in_flight", undefined]);
    story.boundary();
    story.complete();
    story.do({ type: "retire", abandonIfUnattached: false }, "report");
    expect(reason()).toBeUndefined();
    story.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
    expect(reason()).toBe("not_registered");
  });

  test("a stopped or destroyed runtime is never runnable", () => {
    const story = registeredStory();
    story.do({ type: "stop" }, "report");
    expect(hindranceOf(story.state, story.now)?.reason).toBe("stopped");
    story.do({ type: "destroy" }, "report");
    expect(hindranceOf(story.state, story.now)?.reason).toBe("destroyed");
  });

  test("everything queued drains in lane order, also what came without a wake", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"), { withoutWake: true });
    story.ingest("b", prompt("2"));
    story.ingest("c", prompt("3"), { withoutWake: true });
    const order: string[] = [];
    while (hindranceOf(story.state, story.now) === undefined) {
      order.push(...story.assign().contributors);
      story.boundary();
      story.complete();
    }
    expect(order).toEqual(["a", "b", "c"]);
  });

  test("a spent wake does not wake a later input", () => {
    const story = registeredStory();
    story.ingest("a", prompt("1"));
    story.assign();
    story.ingest("b", prompt("2", "steer"));
    story.boundary(true);
    story.boundary();
    story.complete();
    story.ingest("c", prompt("3"), { withoutWake: true });
    expect(hindranceOf(story.state, story.now)?.reason).toBe("not_woken");
  });

  test("retire, recycle, recover and a naming executor wake what is queued", () => {
    const wakers = [
      (story: Story) => story.do({ type: "retire", abandonIfUnattached: false }, "report"),
      (story: Story) => story.do({ type: "recycle" }, "report"),
      (story: Story) => story.do({ type: "recover", fenceExecutor: false }, "report"),
      (story: Story) => story.attach(),
    ];
    for (const waker of wakers) {
      const story = registeredStory();
      story.ingest("a", prompt("1"), { withoutWake: true });
      story.now += 7;
      waker(story);
      expect([story.state.wake, runnableSince(story.state)]).toEqual([true, 1_000_007]);
    }
  });
});
