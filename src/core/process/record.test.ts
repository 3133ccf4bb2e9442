import { describe, expect, test } from "vitest";
import { sessionIdOf } from "../shared/ids.ts";
import { standingOf } from "./holders.ts";
import type { ProcessWait } from "./state.ts";
import { declared, PROCESS_ID, registeredStory, Story, success } from "./testing/story.ts";

const processId = PROCESS_ID;

function endedStory(): Story {
  const story = registeredStory();
  story.do(story.completeCommand(success(1), story.claim()), "appended");
  return story;
}

describe("a registration", () => {
  test("made again is answered, also after the end; another one is a conflict", () => {
    const story = endedStory();
    expect(story.try(story.registerCommand())).toEqual({ type: "registered", created: false });
    const other = story.registerCommand({ labels: { other: "yes" } });
    const refusal = story.refuse(other, "REGISTRATION_HASH_CONFLICT");
    expect(refusal.metadata["registrationHash"]).toBe(other.registrationHash);
  });

  test("keeps everything in the state but its input", () => {
    const story = registeredStory();
    expect(story.state.registration).not.toHaveProperty("input");
    expect(story.state).toMatchObject({ registeredRevision: 1, createdAt: 1_000_000 });
  });
});

describe("an external reference", () => {
  const externalRef = { backend: "temporal", externalId: "wf-1", metadata: { a: [1], b: null } };
  const command = { type: "set_external_ref", processId, externalRef } as const;

  test("is written once: the same again changes nothing, any difference is a conflict", () => {
    const story = registeredStory();
    expect(story.do(command, "done").changed).toBe(true);
    const same = { ...externalRef, metadata: { b: null, a: [1] } };
    expect(story.do({ ...command, externalRef: same }, "done").changed).toBe(false);
    for (const metadata of [{ a: [1] }, { a: [1], b: null, c: 1 }, { a: [1, 2], b: null }, null]) {
      const other = { ...command, externalRef: { ...externalRef, metadata } };
      expect(story.met(other)).toBe("EXTERNAL_REF_CONFLICT");
    }
    expect(new Story().met(command)).toBe("PROCESS_NOT_FOUND");
  });
});

describe("a wait", () => {
  const wait: ProcessWait = { signalName: "go", eventType: "signal.go", ordinal: 1 };

  test("is set, kept and cleared, and is over with the process", () => {
    const story = registeredStory();
    const set = { type: "set_wait", processId, wait } as const;
    expect(story.do(set, "done").changed).toBe(true);
    expect(story.do(set, "done").changed).toBe(false);
    expect(story.state.wait).toEqual({ ...wait, since: 1_000_000 });
    const lease = story.claim();
    expect(story.met({ ...set, wait: null })).toBe("LEASE_REQUIRED");
    expect(story.met({ ...set, wait: null, lease: { ...lease, generation: 9 } })).toBe(
      "LEASE_LOST",
    );
    expect(story.do({ ...set, wait: null, lease }, "done").changed).toBe(true);
    story.do({ ...set, lease }, "done");
    story.do(story.completeCommand(success(1), lease), "appended");
    expect(story.state.wait).toBeNull();
    expect(story.met(set)).toBe("PROCESS_TERMINAL");
    expect(new Story().met(set)).toBe("PROCESS_NOT_FOUND");
  });
});

describe("holders", () => {
  const hold = (session: string, mark: number) =>
    ({ type: "hold", processId, sessionId: sessionIdOf(session), mark }) as const;
  const release = (session: string, mark: number, reason?: string) =>
    ({
      type: "release_hold",
      processId,
      sessionId: sessionIdOf(session),
      mark,
      ...(reason === undefined ? {} : { deletion: { reason, cancelOrphans: true } }),
    }) as const;

  test("P9: of two marks the newer one counts, in whatever order they come", () => {
    const story = registeredStory();
    story.do(hold("a", 2), "hold");
    expect(story.do(release("a", 1), "hold").changed).toBe(false);
    expect(story.do(hold("a", 1), "hold").changed).toBe(false);
    expect(standingOf(story.state)).toEqual({ terminal: false, holderCount: 1 });
    story.do(release("a", 2), "hold");
    expect(story.do(hold("a", 2), "hold").changed).toBe(false);
    expect(story.state.holderCount).toBe(0);
    story.do(release("b", 5), "hold");
    expect(story.do(hold("b", 5), "hold").changed).toBe(false);
    story.do(hold("b", 6), "hold");
    expect(story.state.holderCount).toBe(1);
  });

  test("an orphan is asked to cancel in the commit that made it one, and only once", () => {
    const story = registeredStory();
    story.do(hold("a", 1), "hold");
    story.do(hold("b", 1), "hold");
    expect(story.do(release("a", 1, "session deleted"), "hold").cancelRequested).toBe(false);
    const last = release("b", 1, "session deleted");
    expect(story.do(last, "hold")).toEqual({ type: "hold", changed: true, cancelRequested: true });
    expect(story.lastEvents()).toEqual(["holder_removed", "process_event_appended"]);
    expect(story.do(last, "hold")).toEqual({
      type: "hold",
      changed: false,
      cancelRequested: false,
    });
    expect(story.state.lastSequence).toBe(1);
  });

  test("a removal that was made without a wish can be repeated with one", () => {
    const story = registeredStory();
    story.do(hold("a", 1), "hold");
    story.do(release("a", 1), "hold");
    const repeated = story.do(release("a", 1, "session deleted"), "hold");
    expect(repeated).toEqual({ type: "hold", changed: false, cancelRequested: true });
  });

  test("a process that ended is nobody's orphan", () => {
    const story = endedStory();
    story.do(hold("a", 1), "hold");
    expect(story.do(release("a", 1, "deleted"), "hold").cancelRequested).toBe(false);
  });

  test("nobody holds what is unknown or pruned", () => {
    expect(new Story().met(hold("a", 1))).toBe("PROCESS_NOT_FOUND");
    const story = endedStory();
    story.do(hold("a", 1), "hold");
    story.now += 1;
    story.do({ type: "prune_process", processId, before: story.now }, "pruned");
    expect(story.met(hold("b", 1))).toBe("NO_LONGER_RETAINED");
    story.do(release("a", 1), "hold");
    expect(story.state.holderCount).toBe(0);
  });
});

describe("the end of retention", () => {
  const prune = (before: number) => ({ type: "prune_process", processId, before }) as const;

  test("comes to what ended and did not change since the cutoff, strictly", () => {
    const live = registeredStory();
    expect(live.do(prune(live.now + 1), "pruned").pruned).toBe(false);
    const story = endedStory();
    expect(story.do(prune(story.now), "pruned").pruned).toBe(false);
    expect(story.do(prune(story.now + 1), "pruned")).toEqual({
      type: "pruned",
      pruned: true,
      eventCount: 1,
    });
    expect(story.do(prune(story.now + 1), "pruned").pruned).toBe(false);
    expect(new Story().met(prune(1))).toBe("PROCESS_NOT_FOUND");
  });

  test("tells what was there from what never was, and the id stays used", () => {
    const story = endedStory();
    story.do(prune(story.now + 1), "pruned");
    const refusal = story.refuse(story.appendCommand("progress"), "NO_LONGER_RETAINED");
    expect(refusal.metadata).toMatchObject({ status: "completed", prunedAtMs: "1000000" });
    expect(story.met(story.registerCommand())).toBe("NO_LONGER_RETAINED");
    story.forget();
    story.reload();
  });

  test("waits for wakes that are not delivered yet", () => {
    const wake = { input: { type: "payload" }, dedupe: { type: "event_identity" } } as const;
    const eventTypes = [declared("woke", { terminal: { status: "completed" }, wake })];
    const story = registeredStory({ eventTypes });
    story.append("woke", 1, { replayKey: "end", lease: story.claim() });
    expect(story.do(prune(story.now + 1), "pruned").pruned).toBe(false);
    const settlement = { type: "discarded", cause: "target_gone" } as const;
    story.do({ type: "settle_wake", sequence: 1, settlement }, "done");
    expect(story.do(prune(story.now + 1), "pruned").pruned).toBe(true);
  });
});
