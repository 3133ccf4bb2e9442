/**
 * JSON Schemas of clients (draft 2020-12), compiled so that no schema and no payload can keep the
 * server busy: patterns are matched in linear time, every step of a validation is counted, and a
 * schema refers to nothing but itself.
 */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { RE2JS } from "re2js";
import { isJsonObject, type Json, type JsonObject } from "../core/shared/json.ts";
import type { FieldViolation } from "../core/shared/refusal.ts";
import { canonicalText } from "../engine/commit-codec.ts";

/** Most characters of a schema as canonical JSON. */
export const SCHEMA_BYTES_MAX = 65_536;

/** Most levels of schemas within schemas. */
const SCHEMA_DEPTH_MAX = 32;
/** Most schemas within a schema. */
const SCHEMA_COUNT_MAX = 2_000;
/** Most instructions of one compiled pattern. */
const PATTERN_SIZE_MAX = 10_000;
/** Most steps of one validation: subschemas applied, and what they cost beyond that. */
const STEPS_MAX = 250_000;
/** Characters that a pattern, or a comparison of items, looks at in one step. */
const CHARACTERS_PER_STEP = 64;

/** Schemas compiled by one validator. */
const COMPILED_PER_VALIDATOR = 200;

/** Keyword that every subschema gets: what applying it once costs. */
const STEPS_KEYWORD = "keelsonSteps";

const SCHEMA_KEYWORDS = [
  "items",
  "additionalItems",
  "additionalProperties",
  "contains",
  "contentSchema",
  "else",
  "if",
  "not",
  "propertyNames",
  "then",
  "unevaluatedItems",
  "unevaluatedProperties",
];
const SCHEMA_LIST_KEYWORDS = ["allOf", "anyOf", "oneOf", "prefixItems"];
const SCHEMA_MAP_KEYWORDS = [
  "$defs",
  "definitions",
  "dependentSchemas",
  "patternProperties",
  "properties",
];
const REFERENCE_KEYWORDS = ["$ref", "$dynamicRef"];

/** Why a schema cannot be used; the message is for the client. */
class SchemaProblem extends Error {
  override readonly name = "SchemaProblem";
}

/** A validation needs more steps than it may have. */
class StepsExceeded extends Error {
  override readonly name = "StepsExceeded";

  constructor() {
    super(`takes more than ${STEPS_MAX} steps to check`);
  }
}

/** Checks payloads against one schema; undefined when the payload fits. */
export type PayloadCheck = (payload: Json) => FieldViolation | undefined;

let stepsLeft = 0;

function spend(steps: number): true {
  stepsLeft -= steps;
  if (stepsLeft < 0) throw new StepsExceeded();
  return true;
}

/** What applying a subschema once costs: its own keywords, and what of the data they look at. */
function stepsOf(weight: number, data: Json): number {
  if (typeof data === "string") return weight * (1 + data.length / CHARACTERS_PER_STEP);
  if (typeof data !== "object" || data === null) return weight;
  return weight * (1 + (Array.isArray(data) ? data.length : Object.keys(data).length) / 4);
}

/** Whether all items differ; by their canonical text, so that it is no comparison of all pairs. */
function areUnique(items: readonly Json[]): boolean {
  const texts = new Set<string>();
  for (const item of items) {
    const text = canonicalText(item);
    spend(1 + text.length / CHARACTERS_PER_STEP);
    texts.add(text);
  }
  return texts.size === items.length;
}

/** A pattern as the validator wants it: tested, and told apart from others by its text. */
function linearPattern(pattern: string) {
  const compiled = RE2JS.compile(RE2JS.translateRegExp(pattern));
  if (compiled.programSize() > PATTERN_SIZE_MAX) throw new SchemaProblem("has too large a pattern");
  return { test: (text: string): boolean => compiled.test(text), toString: () => pattern };
}

function makeValidator(): Ajv2020 {
  const validator = new Ajv2020({
    strict: false,
    validateFormats: false,
    ownProperties: true,
    inlineRefs: false,
    logger: false,
    code: { regExp: Object.assign(linearPattern, { code: "linearPattern" }) },
  });
  validator.removeKeyword("uniqueItems");
  validator.addKeyword({
    keyword: "uniqueItems",
    type: "array",
    schemaType: "boolean",
    error: { message: "must NOT have duplicate items" },
    validate: (isWanted: boolean, items: readonly Json[]) => !isWanted || areUnique(items),
  });
  validator.addKeyword({
    keyword: STEPS_KEYWORD,
    schemaType: "number",
    before: "$ref",
    validate: (weight: number, data: Json) => spend(stepsOf(weight, data)),
  });
  return validator;
}

let validator = makeValidator();
let compiledCount = 0;

/** Compiles with a validator that is replaced now and then: it keeps parts of all it compiled. */
function compiledBy(schema: JsonObject): ValidateFunction {
  if (compiledCount >= COMPILED_PER_VALIDATOR) {
    validator = makeValidator();
    compiledCount = 0;
  }
  compiledCount += 1;
  stepsLeft = STEPS_MAX;
  return validator.compile(schema);
}

/** Whether a reference leads to a place within its own schema. */
function isLocal(reference: Json): boolean {
  return typeof reference === "string" && reference.startsWith("#");
}

function sizeOf(json: Json | undefined): number {
  if (json === undefined || typeof json !== "object" || json === null) return 0;
  return Array.isArray(json) ? json.length : Object.keys(json).length;
}

/** A schema whose subschemas carry what they cost. Throws SchemaProblem. */
function prepared(schema: JsonObject): JsonObject {
  let count = 0;

  function schemaFrom(json: Json, depth: number): Json {
    if (!isJsonObject(json)) return json;
    count += 1;
    if (depth > SCHEMA_DEPTH_MAX) throw new SchemaProblem("is nested too deeply");
    if (count > SCHEMA_COUNT_MAX) throw new SchemaProblem("has too many subschemas");
    const copy: Record<string, Json | undefined> = {};
    for (const [keyword, value] of Object.entries(json)) {
      copy[keyword] = value === undefined ? undefined : valueFrom(keyword, value, depth + 1);
    }
    const weight = 1 + sizeOf(json["patternProperties"]) + sizeOf(json["enum"]) / 4;
    return { ...copy, [STEPS_KEYWORD]: weight };
  }

  function valueFrom(keyword: string, value: Json, depth: number): Json {
    if (keyword === "$id") throw new SchemaProblem("must not have an $id");
    if (REFERENCE_KEYWORDS.includes(keyword) && !isLocal(value)) {
      throw new SchemaProblem("refers to something outside itself");
    }
    if (SCHEMA_KEYWORDS.includes(keyword)) return schemaFrom(value, depth);
    if (SCHEMA_LIST_KEYWORDS.includes(keyword) && Array.isArray(value)) {
      return value.map((item: Json) => schemaFrom(item, depth));
    }
    if (SCHEMA_MAP_KEYWORDS.includes(keyword) && isJsonObject(value)) {
      const entries = Object.entries(value).map(([name, member]) => {
        return [name, member === undefined ? undefined : schemaFrom(member, depth)];
      });
      return Object.fromEntries(entries) as JsonObject;
    }
    return value;
  }

  return schemaFrom(schema, 1) as JsonObject;
}

function runChecked(validate: ValidateFunction, payload: Json): FieldViolation | undefined {
  stepsLeft = STEPS_MAX;
  try {
    if (validate(payload)) return undefined;
    const problem = validate.errors?.[0];
    validate.errors = null;
    const field = `payload${problem?.instancePath ?? ""}`;
    return { field, description: problem?.message ?? "does not fit the schema" };
  } catch (error) {
    // A schema that refers to itself without end runs out of stack before it runs out of steps.
    if (!(error instanceof StepsExceeded || error instanceof RangeError)) throw error;
    const description = `takes more than ${STEPS_MAX} steps to check against the schema`;
    return { field: "payload", description };
  }
}

/** The check that a schema makes, or what is wrong with the schema, for the client. */
export function compileSchema(schema: JsonObject): PayloadCheck | { readonly problem: string } {
  if (canonicalText(schema).length > SCHEMA_BYTES_MAX) {
    return { problem: `is larger than ${SCHEMA_BYTES_MAX} characters` };
  }
  try {
    const validate = compiledBy(prepared(schema));
    return (payload) => runChecked(validate, payload);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { problem: `cannot be used: ${error.message}` };
  }
}
