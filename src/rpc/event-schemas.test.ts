import { describe, expect, test } from "vitest";
import type { DeclaredEventType } from "../core/process/registration.ts";
import { registeredStory } from "../core/process/testing/story.ts";
import type { Json, JsonObject } from "../core/shared/json.ts";
import { makeEventSchemas } from "./event-schemas.ts";

const schemas = makeEventSchemas();

const typeOf = (payloadSchema: DeclaredEventType["payloadSchema"]): DeclaredEventType => ({
  name: "typed",
  payloadSchema,
  semantics: {},
});

/** What is said about a payload: where it does not fit, or that it does. */
function judge(payloadSchema: DeclaredEventType["payloadSchema"], payload: Json): string {
  const { state } = registeredStory({ eventTypes: [typeOf(payloadSchema)] });
  const verdict = schemas.verdictOf(state, "typed", payload);
  if (verdict.type !== "invalid") return verdict.type;
  return verdict.violations.map(({ field, description }) => `${field}: ${description}`).join();
}

const problemOf = (schema: JsonObject) => schemas.violationsOf([typeOf(true), typeOf(schema)]);

/** A schema whose every level applies the level below twice. */
function doubling(levels: number): JsonObject {
  const definitions: Record<string, Json> = { level0: { type: "object" } };
  for (let level = 1; level <= levels; level += 1) {
    const below = { $ref: `#/$defs/level${level - 1}` };
    definitions[`level${level}`] = { allOf: [below, below] };
  }
  return { $ref: `#/$defs/level${levels}`, $defs: definitions };
}

describe("a payload", () => {
  test("fits, or is told where it does not", () => {
    const schema: JsonObject = {
      type: "object",
      required: ["rows"],
      properties: { rows: { type: "array", items: { type: "integer", minimum: 1 } } },
    };
    expect(judge(schema, { rows: [1, 2] })).toBe("valid");
    expect(judge(schema, { rows: [1, 0] })).toBe("payload/rows/1: must be >= 1");
    expect(judge(schema, {})).toBe("payload: must have required property 'rows'");
    expect(judge(schema, null)).toBe("payload: must be object");
  });

  test("of any form fits true, and of none fits false", () => {
    expect([judge(true, { any: "thing" }), judge(false, null)]).toEqual([
      "valid",
      "payload: nothing fits the schema",
    ]);
  });

  test("has no members that it only inherits", () => {
    expect(judge({ required: ["constructor"] }, {})).toContain("constructor");
  });

  test("of an unknown type or process is for the core to refuse", () => {
    const { state } = registeredStory();
    expect(schemas.verdictOf(state, "other", null)).toEqual({ type: "undeclared" });
  });

  test("of core types is checked, too", () => {
    const { state } = registeredStory();
    const verdict = schemas.verdictOf(state, "process.completed", { await_output: 1 });
    expect(verdict.type).toBe("invalid");
  });

  test("with different items is unique, whatever the order of their members", () => {
    const schema: JsonObject = { uniqueItems: true };
    expect(judge(schema, [1, "1", [1], { a: 1 }])).toBe("valid");
    expect(
      judge(schema, [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ]),
    ).toContain("duplicate");
  });
});

test("each pattern is its own, also in schemas compiled one after the other", () => {
  const schema: JsonObject = { properties: { a: { pattern: "^x" }, b: { pattern: "^y" } } };
  expect(judge(schema, { a: "x", b: "y" })).toBe("valid");
  expect(judge(schema, { a: "x", b: "x" })).toBe('payload/b: must match pattern "^y"');
  expect(judge({ pattern: "^z" }, "y")).toBe('payload: must match pattern "^z"');
});

describe("nothing keeps the server busy:", () => {
  test("patterns are matched in linear time", () => {
    expect(judge({ pattern: "^(a+)+$" }, `${"a".repeat(100_000)}!`)).toContain("pattern");
  });

  test("a schema that doubles its work at every level runs out of steps", () => {
    expect(judge(doubling(10), {})).toBe("valid");
    expect(judge(doubling(60), {})).toContain("takes more than 250000 steps");
  });

  test("a schema that refers to itself without end runs out of steps or stack", () => {
    expect(judge({ $ref: "#" }, {})).toContain("steps");
    expect(judge({ allOf: [{ $ref: "#" }] }, 1)).toContain("steps");
  });

  test("a recursive schema follows the payload", () => {
    const tree: JsonObject = {
      type: "object",
      properties: { children: { type: "array", items: { $ref: "#" } } },
      additionalProperties: false,
    };
    expect(judge(tree, { children: [{ children: [] }, {}] })).toBe("valid");
    expect(judge(tree, { children: [{ child: 1 }] })).toContain("payload/children/0");
  });

  test("many distinct items are compared by their text", () => {
    const items = Array.from({ length: 100_000 }, (_, index) => ({ index }));
    expect(judge({ uniqueItems: true }, items)).toBe("valid");
  });

  test("many alternatives for many items run out of steps", () => {
    const anyOf = Array.from({ length: 500 }, (_, index) => ({ const: `x${index}` }));
    const items = Array.from({ length: 50_000 }, () => "x499");
    expect(judge({ items: { anyOf } }, items)).toContain("steps");
  });
});

describe("a registration is told of a schema that", () => {
  const deep = (levels: number): JsonObject => (levels === 0 ? {} : { not: deep(levels - 1) });

  test.each<[string, JsonObject, string]>([
    ["is no schema", { type: "objekt" }, "schema is invalid"],
    ["refers to another one", { $ref: "https://example.com/schema" }, "outside itself"],
    ["refers to nothing", { $ref: "#/$defs/missing" }, "can't resolve"],
    ["names itself", { $id: "https://example.com/x" }, "$id"],
    ["is of another draft", { $schema: "http://json-schema.org/draft-04/schema#" }, "schema"],
    ["looks behind", { pattern: "(?=x)" }, "parsing regexp"],
    ["looks back", { pattern: "(a)\\1" }, "parsing regexp"],
    ["has a huge pattern", { pattern: "(\\p{L}{100}x{100}){5}".repeat(60) }, "pattern"],
    ["is nested too deeply", deep(40), "nested"],
    ["is too large", { description: "x".repeat(70_000) }, "larger than"],
    ["has too many parts", { allOf: Array.from({ length: 2_100 }, () => ({})) }, "too many"],
  ])("%s", (_what, schema, problem) => {
    const [violation] = problemOf(schema);
    expect(violation?.field).toBe("registration.event_types[1].payload_schema");
    expect(violation?.description).toContain(problem);
  });

  test("nothing of one that is fine", () => {
    expect(problemOf({ $schema: "https://json-schema.org/draft/2020-12/schema" })).toEqual([]);
    expect(problemOf({ format: "email", example: 1, pattern: "^\\u0041" })).toEqual([]);
  });
});

test("a thousand schemas are kept, and an evicted one is compiled again", () => {
  const own = makeEventSchemas();
  const typed = registeredStory({ eventTypes: [typeOf({ const: "first" })] }).state;
  expect(own.verdictOf(typed, "typed", "first").type).toBe("valid");
  for (let index = 0; index < 1_100; index += 1) {
    expect(own.violationsOf([typeOf({ const: index })])).toEqual([]);
  }
  expect(own.verdictOf(typed, "typed", "second").type).toBe("invalid");
});
