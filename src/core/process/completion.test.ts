import { describe, expect, test } from "vitest";
import type { AwaitOutput } from "./await-output.ts";
import { PROCESS_ID, registeredStory, type Story, success } from "./testing/story.ts";

const FAILURE: AwaitOutput = { type: "failure", class: "internal", code: "oom", message: "" };
const ABANDONED: AwaitOutput = { type: "abandoned", writer: "reconciled_request" };
const OUTSIDE = { type: "external_owner", grantedTo: "ci" } as const;
const RECONCILED = { type: "reconciled_abandon" } as const;
const ABANDON = {
  type: "request_abandon",
  processId: PROCESS_ID,
  requestedBy: "operator",
} as const;

const outside = (): Story =>
  registeredStory({ disposition: "externally_owned", input: { type: "external", metadata: null } });

describe("the holder", () => {
  test("completes once; the same output again is answered, even after its lease is gone", () => {
    const story = registeredStory();
    const lease = story.claim();
    const command = story.completeCommand(success(1), lease);
    const { place } = story.do(command, "appended");
    expect(story.try(command)).toEqual({ type: "appended", place, replayed: true });
    expect(story.state).toMatchObject({ end: { status: "completed" }, lease: null });
    story.forget();
    expect(story.try(command)).toEqual({ type: "appended", place, replayed: true });
  });

  test("meets a conflict with another output, and an end with another status", () => {
    const story = registeredStory();
    const lease = story.claim();
    story.do(story.completeCommand(success(1), lease), "appended");
    expect(story.met(story.completeCommand(success(2), lease))).toBe("REPLAY_KEY_CONFLICT");
    expect(story.met(story.completeCommand(FAILURE, lease))).toBe("PROCESS_TERMINAL");
  });

  test("of the past changes nothing, and the present one completes", () => {
    const story = registeredStory();
    const stale = story.claim("first");
    story.lapse(stale);
    expect(story.met(story.completeCommand(success(1), stale))).toBe("LEASE_LOST");
    const lease = story.claim("second");
    const refusal = story.refuse(story.completeCommand(success(1), stale), "LEASE_LOST");
    expect(refusal.metadata).toMatchObject({ generation: "1", currentGeneration: "2" });
    expect(
      story.met(story.completeCommand(success(1), { ...lease, generation: stale.generation })),
    ).toBe("LEASE_LOST");
    story.do(story.completeCommand(success(2), lease), "appended");
  });
});

describe("authority", () => {
  test.each([
    ["rerunnable", OUTSIDE, success(1), "AUTHORITY_REFUSED"],
    ["owner_bound", OUTSIDE, success(1), "AUTHORITY_REFUSED"],
    ["rerunnable", RECONCILED, ABANDONED, "AUTHORITY_REFUSED"],
    ["externally_owned", RECONCILED, success(1), "AUTHORITY_REFUSED"],
    ["externally_owned", RECONCILED, ABANDONED, "AUTHORITY_REFUSED"],
  ] as const)("over %s: %o cannot write %o", (disposition, authority, output, reason) => {
    const story = registeredStory({ disposition });
    expect(story.met(story.completeCommand(output, authority))).toBe(reason);
  });

  test("of the owner outside ends an externally owned process, and is part of the record", () => {
    const story = outside();
    story.do(story.completeCommand(FAILURE, OUTSIDE), "appended");
    const other = { ...OUTSIDE, grantedTo: "somebody else" };
    expect(story.met(story.completeCommand(FAILURE, other))).toBe("REPLAY_KEY_CONFLICT");
    expect(story.state.end?.status).toBe("failed");
  });

  test("of a reconciled wish ends any process that nobody holds", () => {
    for (const disposition of ["rerunnable", "externally_owned", "owner_bound"] as const) {
      const story = registeredStory({ disposition });
      story.do(ABANDON, "done");
      story.do(story.completeCommand(ABANDONED, RECONCILED), "appended");
      expect(story.state.end?.status).toBe("abandoned");
    }
  });

  test("of a reconciled wish waits for the holder", () => {
    const story = registeredStory();
    const lease = story.claim();
    story.do(ABANDON, "done");
    expect(story.met(story.completeCommand(ABANDONED, RECONCILED))).toBe("LEASE_HELD");
    story.do(story.releaseCommand(lease), "released");
    story.do(story.completeCommand(ABANDONED, RECONCILED), "appended");
  });
});

describe("a wish to cancel", () => {
  test("is an event that changes no status; the same reason is the same wish", () => {
    const story = registeredStory();
    const places = ["slow", "slow", null, null, "wrong"].map(
      (reason) => story.do(story.cancelCommand(reason), "appended").place.sequence,
    );
    expect(places).toEqual([1, 1, 2, 2, 3]);
    expect(story.state.cancelRequest).toEqual({
      reason: "slow",
      requestedAt: 1_000_000,
      sequence: 1,
    });
    expect(story.state.end).toBeNull();
    story.forget();
    expect(story.do(story.cancelCommand("slow"), "appended").replayed).toBe(true);
  });

  test("under a key that a client took for something else is a conflict", () => {
    const story = registeredStory();
    story.append("progress", 1, { replayKey: `process:${PROCESS_ID}:cancel_requested` });
    expect(story.met(story.cancelCommand(null))).toBe("REPLAY_KEY_CONFLICT");
  });
});

describe("a wish to abandon", () => {
  test("is the first one's for ever, and ends nothing that may still run", () => {
    const story = registeredStory();
    expect(story.do({ ...ABANDON, reason: "lost" }, "done").changed).toBe(true);
    expect(story.do({ ...ABANDON, requestedBy: "else" }, "done").changed).toBe(false);
    expect(story.state.abandonRequest).toMatchObject({ requestedBy: "operator", reason: "lost" });
    expect(story.state.end).toBeNull();
  });

  test("P7: ends an owner-bound process once nobody holds it, never before", () => {
    const wishes = [
      (story: Story) => story.lapse(story.state.lease ?? story.claim()),
      (story: Story) =>
        story.do(story.releaseCommand(story.state.lease ?? story.claim()), "released").released,
    ];
    for (const end of wishes) {
      const story = registeredStory({ disposition: "owner_bound" });
      story.claim();
      story.do(ABANDON, "done");
      story.now += 1_000_000_000;
      expect(story.state.end).toBeNull();
      end(story);
      expect(story.state.end?.status).toBe("abandoned");
    }
  });

  test("ends at once what was started, is owner-bound and has lost its owner", () => {
    const story = registeredStory({ disposition: "owner_bound" });
    story.lapse(story.claim());
    expect(story.state.end).toBeNull();
    story.do(ABANDON, "done");
    expect(story.lastEvents()).toEqual(["abandon_requested", "process_event_appended"]);
    expect(story.state.end?.status).toBe("abandoned");
    expect(story.met(ABANDON)).toBe("PROCESS_TERMINAL");
  });
});
