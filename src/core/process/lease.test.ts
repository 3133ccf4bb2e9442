import { describe, expect, test } from "vitest";
import { processAggregate } from "./aggregate.ts";
import { isClaimable } from "./summarize.ts";
import { owner, PROCESS_ID, registeredStory, Story, success } from "./testing/story.ts";

const { facts, summarize } = processAggregate;

describe("a claim", () => {
  test("is for registered, live processes that workers run", () => {
    const unknown = new Story();
    expect(unknown.met(unknown.claimCommand(owner("a")))).toBe("PROCESS_NOT_FOUND");
    const outside = registeredStory({ disposition: "externally_owned" });
    expect(outside.met(outside.claimCommand(owner("a")))).toBe("NOT_CLAIMABLE");
    const over = registeredStory();
    over.do(over.completeCommand(success(1), over.claim()), "appended");
    expect(over.met(over.claimCommand(owner("a")))).toBe("PROCESS_TERMINAL");
  });

  test("of another owner, or another life of the same, meets the holder", () => {
    const story = registeredStory();
    story.claim("a", 1);
    const refusal = story.refuse(story.claimCommand(owner("b")), "LEASE_HELD");
    expect(refusal.metadata).toMatchObject({ ownerId: "a", incarnationId: "a-1", generation: "1" });
    expect(story.met(story.claimCommand(owner("a", 2)))).toBe("LEASE_HELD");
  });

  test("of the same owner in the same life keeps token and generation", () => {
    const story = registeredStory();
    const lease = story.claim("a");
    expect(story.do(story.claimCommand(owner("a")), "leased")).toEqual({
      type: "leased",
      lease,
      extended: true,
    });
    const longer = story.do(story.claimCommand(owner("a"), 60_000), "leased");
    expect(longer).toEqual({ type: "leased", lease: { ...lease, ttlMs: 60_000 }, extended: true });
    expect(story.state.lease?.ttlMs).toBe(60_000);
  });

  test("P3: after a release or a lapse has the next generation", () => {
    const story = registeredStory();
    const first = story.claim("a");
    story.do(story.releaseCommand(first), "released");
    const second = story.claim("b");
    story.lapse(second);
    expect([first.generation, second.generation, story.claim("a").generation]).toEqual([1, 2, 3]);
    expect(story.state.firstStart?.owner).toEqual(owner("a"));
  });

  test("of an owner-bound process is its first owner's alone", () => {
    const story = registeredStory({ disposition: "owner_bound" });
    story.lapse(story.claim("a"));
    expect(story.met(story.claimCommand(owner("b")))).toBe("NOT_CLAIMABLE");
    expect(story.met(story.claimCommand(owner("a", 2)))).toBe("NOT_CLAIMABLE");
    expect(isClaimable(story.state)).toBe(false);
    expect(story.claim("a").generation).toBe(2);
  });

  test("ends with the attempts that the registration allows", () => {
    const story = registeredStory({ attemptsMax: 2 });
    story.lapse(story.claim());
    story.lapse(story.claim());
    expect(story.met(story.claimCommand(owner("a")))).toBe("NOT_CLAIMABLE");
    expect(summarize(story.state).runnableSince).toBeUndefined();
    expect(story.state.end).toBeNull();
  });
});

describe("a claim of any work", () => {
  const anyWork = (story: Story, name: string) => ({
    ...story.claimCommand(owner(name)),
    isForAnyWork: true,
  });

  test("is a new hold, never one that the worker has already", () => {
    const story = registeredStory();
    expect(story.do(anyWork(story, "a"), "leased").extended).toBe(false);
    expect(story.met(anyWork(story, "a"))).toBe("LEASE_HELD");
  });

  test("passes by what waits for a signal, and by what was started by its owner", () => {
    const waiting = registeredStory();
    const wait = { signalName: "go", eventType: "progress", ordinal: 1 };
    waiting.do({ type: "set_wait", processId: PROCESS_ID, wait }, "done");
    expect(waiting.met(anyWork(waiting, "a"))).toBe("NOT_CLAIMABLE");
    waiting.append("progress");
    expect(waiting.met(anyWork(waiting, "a"))).toBe("leased");
    const bound = registeredStory({ disposition: "owner_bound" });
    bound.lapse(bound.claim("a"));
    expect(bound.met(anyWork(bound, "a"))).toBe("NOT_CLAIMABLE");
  });
});

describe("a release", () => {
  test("that is stale, repeated or after the end changes nothing", () => {
    const story = registeredStory();
    const first = story.claim("a");
    story.do(story.releaseCommand(first), "released");
    expect(story.do(story.releaseCommand(first), "released").released).toBe(false);
    const second = story.claim("b");
    expect(story.do(story.releaseCommand(first), "released").released).toBe(false);
    expect(story.lapse(first)).toBe(false);
    expect(story.state.lease).toEqual(second);
    story.do(story.completeCommand(success(1), second), "appended");
    expect(story.do(story.releaseCommand(second), "released").released).toBe(false);
  });
});

describe("the summary", () => {
  test("of a process that a worker could claim says since when, and of which kind", () => {
    const story = registeredStory({ labels: { team: "a" } });
    story.now += 5_000;
    expect(summarize(story.state)).toEqual({
      state: "running",
      labels: { team: "a" },
      pool: "indexer",
      runnableSince: 1_000_000,
      gone: false,
    });
  });

  test("of a process that is held says by which lease, and its facts keep the token back", () => {
    const story = registeredStory();
    story.claim();
    const summary = summarize(story.state);
    expect(summary).toMatchObject({ state: "running", holder: "process:token-1" });
    expect(summary.runnableSince).toBeUndefined();
    expect(JSON.stringify(facts(story.state))).not.toContain("token-1");
  });

  test("of a process that waits is not claimable until what it waits for has come", () => {
    const story = registeredStory({ eventTypes: [] });
    const wait = { signalName: "go", eventType: "process.cancel_requested", ordinal: 1 };
    story.do({ type: "set_wait", processId: PROCESS_ID, wait }, "done");
    expect(summarize(story.state).runnableSince).toBeUndefined();
    story.do(story.cancelCommand(null), "appended");
    expect(summarize(story.state).runnableSince).toBe(1_000_000);
  });

  test("of a process that ended has its status and no work", () => {
    const story = registeredStory();
    story.do(story.completeCommand(success(1), story.claim()), "appended");
    expect(summarize(story.state)).toMatchObject({ state: "completed", gone: false });
    expect(summarize(story.state).runnableSince).toBeUndefined();
  });
});
