import { describe, expect, test } from "vitest";
import { completeRegistration, registrationViolations } from "./core-types.ts";
import type { ProcessInput } from "./registration.ts";
import { declared, described } from "./testing/story.ts";

const fieldsOf = (traits: Parameters<typeof described>[0]) =>
  registrationViolations(described(traits)).map(({ field }) => field);

test("a completed registration has the core types, all types by name", () => {
  const { eventTypes } = completeRegistration(
    described({ eventTypes: [declared("zeta"), declared("alpha")] }),
  );
  expect(eventTypes.map(({ name }) => name)).toEqual([
    "alpha",
    "process.abandoned",
    "process.cancel_requested",
    "process.cancelled",
    "process.completed",
    "process.failed",
    "zeta",
  ]);
});

describe("what nobody named is called after its input", () => {
  test.each<[ProcessInput, object]>([
    [
      { type: "tool_call", toolName: "grep", arguments: {} },
      { kind: "tool", label: "grep" },
    ],
    [{ type: "engine", kind: "indexer", payload: null }, { kind: "indexer" }],
    [
      {
        type: "session_turn",
        purpose: "review",
        createRequest: null,
        turnInput: null,
        outputContract: null,
      },
      { kind: "session_turn", label: "review" },
    ],
    [
      { type: "external", metadata: { title: "build", name: 3 } },
      { kind: "external", label: "build" },
    ],
    [{ type: "external", metadata: null }, { kind: "external" }],
  ])("%o", (input, identity) => {
    expect(completeRegistration(described({ input })).identity).toEqual(identity);
  });
});

describe("a description is refused", () => {
  test("for blank, repeated and reserved names", () => {
    const eventTypes = ["ok", " ", "ok", "process.completed", "process.wake"].map((name) =>
      declared(name),
    );
    expect(fieldsOf({ eventTypes })).toEqual([
      "registration.event_types[1].name",
      "registration.event_types[2].name",
      "registration.event_types[3].name",
    ]);
  });

  test("for an end other than completed without an output", () => {
    const eventTypes = [
      declared("good", { terminal: { status: "completed" } }),
      declared("bad", { terminal: { status: "failed" } }),
    ];
    expect(fieldsOf({ eventTypes })).toEqual([
      "registration.event_types[1].semantics.terminal.output",
    ]);
  });

  test("for more than 64 types", () => {
    const eventTypes = Array.from({ length: 65 }, (_, index) => declared(`type-${index}`));
    expect(fieldsOf({ eventTypes })).toEqual(["registration.event_types"]);
  });

  test("for an environment where none is needed, and for none where one is", () => {
    const { input, eventTypes, provenance, disposition, labels } = described();
    const bare = { input, eventTypes, provenance, disposition, labels };
    expect(registrationViolations(bare).map(({ field }) => field)).toEqual([
      "registration.env_ref",
    ]);
    expect(fieldsOf({ input: { type: "external", metadata: null } })).toEqual([
      "registration.env_ref",
    ]);
  });
});
