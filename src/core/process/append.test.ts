import { describe, expect, test } from "vitest";
import { runtimeIdOf } from "../shared/ids.ts";
import { completeRegistration, TERMINAL_EVENT_TYPES } from "./core-types.ts";
import type { EventAppended } from "./events.ts";
import { declared, described, PROCESS_ID, registeredStory, Story } from "./testing/story.ts";

const TYPES = [
  declared("progress"),
  declared("finished", { terminal: { status: "completed" } }),
  declared("broken", {
    terminal: { status: "failed", output: { type: "pointer", pointer: "/failure" } },
  }),
  declared("woke", {
    wake: {
      when: { type: "pointer", pointer: "/loud" },
      input: {
        type: "template",
        template: "{who} calls",
        fields: { who: { type: "pointer", pointer: "/who" } },
      },
      dedupe: { type: "event_identity" },
    },
  }),
];

function lastAppended(story: Story): EventAppended | undefined {
  return story.commits.at(-1)?.events.findLast((event) => event.type === "process_event_appended");
}

describe("an append", () => {
  test("ends no process by a core type: the authority to do so is asked for elsewhere", () => {
    const external = { type: "external", metadata: null } as const;
    const story = registeredStory({ disposition: "externally_owned", input: external });
    story.do({ type: "request_abandon", processId: PROCESS_ID, requestedBy: "operator" }, "done");
    const output = { type: "abandoned", writer: "reconciled_request" };
    for (const eventType of Object.values(TERMINAL_EVENT_TYPES)) {
      const append = story.appendCommand(eventType, { await_output: output }, { replayKey: "end" });
      expect(story.met(append)).toBe("AUTHORITY_REFUSED");
    }
    expect(story.state).toMatchObject({ end: null, lastSequence: 0 });
  });

  test("of an unknown process is refused before everything else", () => {
    const story = new Story();
    expect(story.met(story.appendCommand("undeclared"))).toBe("PROCESS_NOT_FOUND");
  });

  test("P1: gets the next sequence, whatever was refused or replayed in between", () => {
    const story = registeredStory({ eventTypes: TYPES });
    const sequences = [story.append("progress", 1, { replayKey: "a" })];
    expect(story.met(story.appendCommand("undeclared"))).toBe("EVENT_TYPE_UNDECLARED");
    sequences.push(story.append("progress", 1, { replayKey: "a" }), story.append("progress", 2));
    expect(sequences).toEqual([1, 1, 2]);
    expect(story.state.typeCounts.get("progress")).toMatchObject({ count: 2, lastSequence: 2 });
  });

  test("P4: with a known key answers the first event and touches nothing", () => {
    const story = registeredStory();
    const first = story.appendCommand("progress", { n: 1 }, { replayKey: "key" });
    const { place } = story.do(first, "appended");
    story.now += 5_000;
    expect(story.try(first)).toEqual({ type: "appended", place, replayed: true });
    expect(story.state.updatedAt).toBe(1_000_000);
    story.forget();
    expect(story.state.events.size).toBe(0);
    expect(story.try(first)).toEqual({ type: "appended", place, replayed: true });
  });

  test("P4: with a known key and another payload or type is a conflict, forgotten or not", () => {
    const story = registeredStory({ eventTypes: TYPES });
    story.append("progress", 1, { replayKey: "key" });
    const other = story.appendCommand("progress", 2, { replayKey: "key" });
    expect(story.met(other)).toBe("REPLAY_KEY_CONFLICT");
    story.forget();
    const refusal = story.refuse(other, "REPLAY_KEY_CONFLICT");
    expect(refusal.metadata).toMatchObject({ sequence: "1", eventType: "progress" });
  });

  test("checks the key first, then the type, the key's presence, the schema, the semantics", () => {
    const story = registeredStory({ eventTypes: TYPES });
    const invalid = { type: "invalid", violations: [{ field: "payload", description: "bad" }] };
    const schemaVerdict = invalid as { type: "invalid"; violations: [] };
    story.append("progress", 1, { replayKey: "key" });
    const known = { replayKey: "key", schemaVerdict };
    expect(story.met(story.appendCommand("undeclared", null, known))).toBe("REPLAY_KEY_CONFLICT");
    const undeclared = story.appendCommand("undeclared", null, { schemaVerdict });
    expect(story.met(undeclared)).toBe("EVENT_TYPE_UNDECLARED");
    expect(story.met(story.appendCommand("broken", {}, { schemaVerdict }))).toBe(
      "REPLAY_KEY_REQUIRED",
    );
    const unfit = story.appendCommand("broken", {}, { replayKey: "end", schemaVerdict });
    expect(story.refuse(unfit, "PAYLOAD_SCHEMA_MISMATCH").violations).toEqual(invalid.violations);
    const hollow = story.appendCommand("broken", {}, { replayKey: "end" });
    const refusal = story.refuse(hollow, "SELECTOR_UNRESOLVED");
    expect(refusal.metadata["pointer"]).toBe("/failure");
    const shapeless = { failure: { type: "success", value: 1 } };
    const misfit = story.appendCommand("broken", shapeless, { replayKey: "end" });
    expect(story.met(misfit)).toBe("SELECTOR_UNRESOLVED");
  });

  test("that the edge judged without knowing the process is to be sent again", () => {
    const story = registeredStory();
    const schemaVerdict = { type: "undeclared" } as const;
    expect(story.met(story.appendCommand("progress", null, { schemaVerdict }))).toBe("CONFLICT");
  });

  test("of a cancel request needs a key, too", () => {
    const story = registeredStory();
    const command = story.appendCommand("process.cancel_requested", { reason: null });
    expect(story.met(command)).toBe("REPLAY_KEY_REQUIRED");
  });

  test("under a lease is fenced, and without one is not", () => {
    const story = registeredStory();
    const first = story.claim("first");
    story.lapse(first);
    const second = story.claim("second");
    expect(story.met(story.appendCommand("progress", 1, { lease: first }))).toBe("LEASE_LOST");
    story.append("progress", 1, { lease: second });
    expect(lastAppended(story)?.generation).toBe(2);
    story.append("progress", 2);
    expect(lastAppended(story)?.generation).toBeUndefined();
  });
});

describe("a terminal event", () => {
  test("P2: ends the process once; its replay succeeds, another end does not", () => {
    const story = registeredStory({ eventTypes: TYPES });
    const lease = story.claim();
    const end = story.appendCommand("finished", { rows: 3 }, { replayKey: "end", lease });
    const { place } = story.do(end, "appended");
    expect(story.state.end).toEqual({ status: "completed", place, endedAt: 1_000_000 });
    expect(story.try(end)).toEqual({ type: "appended", place, replayed: true });
    const again = { replayKey: "other" };
    expect(story.met(story.appendCommand("finished", { rows: 4 }, again))).toBe("PROCESS_TERMINAL");
    expect(story.append("progress", "late")).toBe(2);
  });

  test("of a process that workers run needs its lease", () => {
    const story = registeredStory({ eventTypes: TYPES });
    const command = story.appendCommand("finished", 1, { replayKey: "end" });
    expect(story.met(command)).toBe("LEASE_REQUIRED");
  });

  test("of a process that is owned outside needs none", () => {
    const story = registeredStory({ eventTypes: TYPES, disposition: "externally_owned" });
    story.append("finished", 1, { replayKey: "end" });
    expect(story.state.end?.status).toBe("completed");
  });
});

describe("an event wakes", () => {
  test("the runtime of the process with the text of its template", () => {
    const story = registeredStory({ eventTypes: TYPES });
    story.append("woke", { loud: true, who: "worker" });
    expect(lastAppended(story)?.wake).toEqual({
      wakeOrdinal: 1,
      runtimeId: "session-1",
      dedupeKey: `${PROCESS_ID}:1`,
      input: "worker calls",
    });
    expect([...story.state.outbox.keys()]).toEqual([1]);
  });

  test("the runtime that the append names instead", () => {
    const story = registeredStory({ eventTypes: TYPES });
    const wakeRuntimeId = runtimeIdOf("other");
    story.append("woke", { loud: true, who: "worker" }, { wakeRuntimeId });
    expect(lastAppended(story)?.wake?.runtimeId).toBe("other");
  });

  test("nobody when its condition is false, or there is nobody to wake", () => {
    const story = registeredStory({ eventTypes: TYPES });
    story.append("woke", { loud: false, who: "worker" });
    expect(story.state.lastSequence).toBe(1);
    expect(story.state.outbox.size).toBe(0);
    const lonely = new Story();
    const registration = completeRegistration({
      input: { type: "external", metadata: null },
      eventTypes: TYPES,
      provenance: described().provenance,
      disposition: "externally_owned",
      labels: {},
    });
    lonely.do({ ...lonely.registerCommand(), registration }, "registered");
    lonely.append("woke", { loud: true, who: "worker" });
    expect(lonely.state.lastSequence).toBe(1);
    expect(lonely.state.outbox.size).toBe(0);
  });

  test("nobody when its input leads nowhere: it is refused", () => {
    const story = registeredStory({ eventTypes: TYPES });
    expect(story.met(story.appendCommand("woke", { loud: true }))).toBe("SELECTOR_UNRESOLVED");
  });

  test("under a key that is selected or fixed, the same for many events", () => {
    const wake = { input: { type: "payload" } } as const;
    const eventTypes = [
      declared("selected", {
        wake: {
          ...wake,
          dedupe: { type: "selector", selector: { type: "pointer", pointer: "/k" } },
        },
      }),
      declared("fixed", { wake: { ...wake, dedupe: { type: "fixed", value: "same" } } }),
    ];
    const story = registeredStory({ eventTypes });
    const keys = [
      ["selected", { k: 1 }] as const,
      ["selected", { k: 1, x: 2 }] as const,
      ["fixed", 7] as const,
    ].map(([eventType, payload]) => {
      story.append(eventType, payload);
      return lastAppended(story)?.wake?.dedupeKey;
    });
    expect(keys).toEqual(["1", "1", "same"]);
  });

  test("until a thousand wakes wait: then it is refused and nothing is lost", () => {
    const story = registeredStory({ eventTypes: TYPES });
    const payload = { loud: true, who: "worker" };
    for (let count = 0; count < 1_000; count += 1) story.append("woke", payload);
    expect(story.met(story.appendCommand("woke", payload))).toBe("LIMIT_EXCEEDED");
    story.append("progress");
    expect(story.state.lastSequence).toBe(1_001);
  });
});

test("a completed process may leave any value, or an output in its own words", () => {
  const story = registeredStory({ eventTypes: TYPES });
  const lease = story.claim();
  story.append("finished", { type: "success", value: 1 }, { replayKey: "end", lease });
  expect(story.state.end?.status).toBe("completed");
});
