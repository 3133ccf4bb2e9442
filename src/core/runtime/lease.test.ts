import { describe, expect, test } from "vitest";
import { incarnationIdOf } from "../shared/ids.ts";
import { stateNameOf } from "./table.ts";
import { executor, externalEvent, prompt, registeredStory, Story } from "./testing/story.ts";

const grant = (name: string) =>
  ({ type: "grant_lease", ...executor(name), ttlMs: 30_000 }) as const;

describe("a grant", () => {
  test("attaches the executor that named the runtime", () => {
    const story = registeredStory();
    expect(story.attach().generation).toBe(1);
    expect(stateNameOf(story.state)).toBe("attached");
    expect(story.state.lease).toMatchObject({ executorId: "worker", named: true, ttlMs: 30_000 });
  });

  test("of the same incarnation again changes nothing", () => {
    const story = registeredStory();
    story.attach();
    const before = story.state;
    expect(story.attach().generation).toBe(1);
    expect(story.state).toBe(before);
  });

  test("is refused to everybody else, also to a new incarnation of the holder", () => {
    const story = registeredStory();
    story.attach("first");
    story.refused(grant("second"), "LEASE_HELD");
    const reborn = { ...grant("first"), incarnationId: incarnationIdOf("first-2") };
    const refusal = story.refused(reborn, "LEASE_HELD");
    expect(refusal.metadata).toMatchObject({ executorId: "first", incarnationId: "first-1" });
  });

  test("makes a pooled lease a named one without fencing its own run", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.assign();
    expect(story.attach().generation).toBe(1);
    story.boundary();
    story.complete();
    expect(stateNameOf(story.state)).toBe("attached");
  });

  test("is possible while retired, so that a backlog drains, not after stop or destroy", () => {
    const story = registeredStory();
    story.do({ type: "retire", abandonIfUnattached: false }, "report");
    story.attach();
    expect(stateNameOf(story.state)).toBe("retired");
    story.do({ type: "stop" }, "report");
    story.refused(grant("worker"), "INVALID_STATE");
    story.do({ type: "destroy" }, "report");
    story.refused(grant("worker"), "RUNTIME_DESTROYED");
  });

  test("needs a registered runtime", () => {
    const refusal = new Story().refused(grant("worker"), "RUNTIME_NOT_REGISTERED");
    expect(refusal.metadata).toEqual({});
  });
});

describe("a detach", () => {
  test("gives the lease back", () => {
    const story = registeredStory();
    story.attach();
    const detached = { type: "release_lease", ...executor("worker") } as const;
    expect(story.do(detached, "released").released).toBe(true);
    expect(stateNameOf(story.state)).toBe("idle");
    expect(story.do(detached, "released").released).toBe(false);
  });

  test("hands the run back without counting the attempt", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.attach();
    story.assign();
    story.acknowledge();
    story.do({ type: "release_lease", ...executor("worker") }, "released");
    expect(story.lastEvents()).toEqual(["run_returned", "lease_released"]);
    expect(story.header("a")).toMatchObject({ state: "queued", attempts: 0, notBefore: 0 });
  });

  test("of somebody who does not hold the lease is a no-op", () => {
    const story = registeredStory();
    story.attach("first");
    const other = { type: "release_lease", ...executor("second") } as const;
    expect(story.do(other, "released").released).toBe(false);
    expect(stateNameOf(story.state)).toBe("attached");
  });
});

describe("a lapse", () => {
  const lapse = { type: "lapse_lease", ...executor("worker") } as const;

  test("fails the run: contributors roll back in order, counted, after a backoff", () => {
    const story = registeredStory();
    story.ingest("a", externalEvent());
    story.ingest("b", externalEvent());
    story.assign();
    story.acknowledge();
    story.do(lapse, "released");
    expect(story.lastEvents()).toEqual(["run_failed", "lease_lapsed"]);
    expect(story.queued()).toEqual(["a", "b"]);
    expect(story.header("a")).toMatchObject({ attempts: 1, notBefore: 1_001_000 });
    expect(story.state.endedRuns[0]).toMatchObject({ how: "lapsed", bodyHash: "" });
    expect([stateNameOf(story.state), story.state.wake]).toEqual(["idle", true]);
  });

  test("of an unacknowledged run returns the contributors uncounted", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.assign();
    story.do(lapse, "released");
    expect(story.lastEvents()).toEqual(["run_returned", "lease_lapsed"]);
    expect(story.header("a")).toMatchObject({ attempts: 0, notBefore: 0, state: "queued" });
  });

  test("consumes what stands under a receipt", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.assign();
    story.boundary();
    story.do(lapse, "released");
    expect(story.header("a").state).toBe("consumed");
  });

  test("abandons what has no attempt left", () => {
    const story = registeredStory({ attemptLimit: 1 });
    story.ingest("a", prompt("a"));
    story.assign();
    story.acknowledge();
    story.do(lapse, "released");
    expect(story.header("a").outcome).toEqual({
      type: "abandoned",
      reason: "max_attempts_exhausted",
      attempts: 1,
    });
  });

  test("of an incarnation that holds nothing is a no-op", () => {
    const story = registeredStory();
    story.attach("other");
    expect(story.do(lapse, "released").released).toBe(false);
    expect(new Story().do(lapse, "released").released).toBe(false);
  });

  test("the late writer of a lapsed run is fenced, before and after the next grant", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.assign();
    story.acknowledge();
    const late = story.completeCommand();
    story.do(lapse, "released");
    story.refused(late, "LEASE_LOST");
    story.now += 1_000;
    expect(story.assign("other").generation).toBe(2);
    story.refused(late, "LEASE_LOST");
  });
});
