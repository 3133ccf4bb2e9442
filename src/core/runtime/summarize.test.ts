import { describe, expect, test } from "vitest";
import { runtimeAggregate } from "./aggregate.ts";
import { prompt, registeredStory } from "./testing/story.ts";

const { bytesOf, facts, summarize } = runtimeAggregate;

describe("the summary", () => {
  test("of a fresh runtime has nothing to serve", () => {
    const story = registeredStory({ labels: { team: "a" }, pool: "gpu" });
    const summary = { state: "idle", labels: { team: "a" }, pool: "gpu", gone: false };
    expect(summarize(story.state)).toEqual(summary);
    const shown = { registered: true, run: null, executor: null, queueDepth: 0 };
    expect(facts(story.state)).toMatchObject(shown);
  });

  test("of queued work says since when it waits", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.now += 50;
    story.ingest("b", prompt("b"));
    expect(summarize(story.state).runnableSince).toBe(1_000_000);
  });

  test("of an unacknowledged run wants a tick after ten seconds", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.assign();
    expect(summarize(story.state)).toMatchObject({
      state: "running",
      dueAt: 1_010_000,
      holder: "worker/worker-1",
    });
    expect(summarize(story.state).runnableSince).toBeUndefined();
    story.acknowledge();
    expect(summarize(story.state).dueAt).toBeUndefined();
  });

  test("of a runtime held by name still says since when there is work", () => {
    const story = registeredStory();
    story.attach();
    story.ingest("a", prompt("a"));
    expect(summarize(story.state)).toMatchObject({
      state: "attached",
      runnableSince: 1_000_000,
      holder: "worker/worker-1",
    });
  });

  test("of a runtime that is over is gone and belongs to no pool", () => {
    const unregistered = registeredStory();
    unregistered.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
    const destroyed = registeredStory();
    destroyed.do({ type: "destroy" }, "report");
    const summaries = [summarize(unregistered.state), summarize(destroyed.state)];
    expect(summaries.map(({ state, gone, pool }) => [state, gone, pool])).toEqual([
      ["unregistered", true, undefined],
      ["destroyed", true, undefined],
    ]);
  });
});

test("the size of a state grows with what it holds and shrinks when it forgets", () => {
  const story = registeredStory();
  const empty = bytesOf(story.state);
  for (let index = 0; index < 100; index += 1) story.ingest(`input-${index}`, prompt("x"));
  const full = bytesOf(story.state);
  story.drain();
  story.forget();
  expect(full).toBeGreaterThan(empty + 50_000);
  expect(bytesOf(story.state)).toBeLessThan(full);
});
