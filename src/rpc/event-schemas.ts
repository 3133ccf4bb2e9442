/**
 * The payload schemas of declared event types. Types never change, so each schema is compiled once
 * and kept while it is used; equal schemas of many processes are one.
 */
import { createHash } from "node:crypto";
import type { SchemaVerdict } from "../core/process/commands.ts";
import type { DeclaredEventType } from "../core/process/registration.ts";
import type { ProcessState } from "../core/process/state.ts";
import type { Json, JsonObject } from "../core/shared/json.ts";
import type { FieldViolation } from "../core/shared/refusal.ts";
import { canonicalText } from "../engine/commit-codec.ts";
import { compileSchema, type PayloadCheck } from "./json-schema.ts";

/** Most compiled schemas that are kept. */
const COMPILED_MAX = 1_000;

/** Judges schemas and payloads. */
export interface EventSchemas {
  /** What is wrong with the schemas of a registration; paths as in the contract. */
  readonly violationsOf: (types: readonly DeclaredEventType[]) => readonly FieldViolation[];
  /** What the declared type says about a payload; the core decides what follows from it. */
  readonly verdictOf: (state: ProcessState, eventType: string, payload: Json) => SchemaVerdict;
}

/** Makes the schemas of a process. */
export function makeEventSchemas(): EventSchemas {
  /** Keys of schemas that folded states hold, so that a schema is hashed once. */
  const keys = new WeakMap<JsonObject, string>();
  /** Compiled schemas, the one used longest ago first. */
  const compiled = new Map<string, PayloadCheck | { readonly problem: string }>();

  function keyOf(schema: JsonObject): string {
    const known = keys.get(schema);
    if (known !== undefined) return known;
    const key = createHash("sha256").update(canonicalText(schema)).digest("base64");
    keys.set(schema, key);
    return key;
  }

  function compiledOf(schema: JsonObject): PayloadCheck | { readonly problem: string } {
    const key = keyOf(schema);
    const check = compiled.get(key) ?? compileSchema(schema);
    compiled.delete(key);
    compiled.set(key, check);
    const [oldest] = compiled.keys();
    if (compiled.size > COMPILED_MAX && oldest !== undefined) compiled.delete(oldest);
    return check;
  }

  function violationOf(schema: DeclaredEventType["payloadSchema"], payload: Json) {
    if (schema === true) return undefined;
    if (schema === false) return { field: "payload", description: "nothing fits the schema" };
    const check = compiledOf(schema);
    return typeof check === "function"
      ? check(payload)
      : { field: "payload", description: `the declared schema ${check.problem}` };
  }

  return {
    violationsOf: (types) =>
      types.flatMap(({ payloadSchema }, index) => {
        if (typeof payloadSchema === "boolean") return [];
        const check = compiledOf(payloadSchema);
        if (typeof check === "function") return [];
        const field = `registration.event_types[${index}].payload_schema`;
        return [{ field, description: check.problem }];
      }),
    verdictOf: (state, eventType, payload) => {
      const declared = state.registration?.eventTypes.find(({ name }) => name === eventType);
      if (declared === undefined) return { type: "undeclared" };
      const violation = violationOf(declared.payloadSchema, payload);
      return violation === undefined
        ? { type: "valid" }
        : { type: "invalid", violations: [violation] };
    },
  };
}
