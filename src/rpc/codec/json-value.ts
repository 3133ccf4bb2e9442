/**
 * JSON values on the wire and within. Checks what no storage of text may hold: numbers that are not
 * finite, NUL, lone surrogates, and nesting beyond the limit.
 */
import { create } from "@bufbuild/protobuf";
import {
  ListValueSchema,
  NullValue,
  StructSchema,
  type Value,
  ValueSchema,
} from "@bufbuild/protobuf/wkt";
import { isJsonObject, type Json } from "../../core/shared/json.ts";
import { checkText, type FieldCheck, violate } from "./field-check.ts";

/**
 * Most levels of arrays and objects in one another. What is taken must come back to every client,
 * and the libraries of clients read at most 100 messages in one another; a level of JSON is up to
 * three of them, and the deepest answer has nine around the value.
 */
export const JSON_DEPTH_MAX = 30;

function valueToJson(check: FieldCheck, value: Value, field: string, depth: number): Json {
  const { kind } = value;
  switch (kind.case) {
    case "stringValue":
      return checkText(check, kind.value, field);
    case "numberValue":
      if (!Number.isFinite(kind.value)) violate(check, field, "must hold finite numbers only");
      return kind.value;
    case "boolValue":
      return kind.value;
    case "structValue":
    case "listValue": {
      if (depth === JSON_DEPTH_MAX) {
        violate(check, field, `must be at most ${JSON_DEPTH_MAX} levels deep`);
        return null;
      }
      if (kind.case === "listValue") {
        return kind.value.values.map((item) => valueToJson(check, item, field, depth + 1));
      }
      return Object.fromEntries(
        Object.entries(kind.value.fields).map(([name, member]) => [
          checkText(check, name, field),
          valueToJson(check, member, field, depth + 1),
        ]),
      );
    }
    case "nullValue":
    case undefined:
      return null;
  }
}

/** The JSON of a value; null when it is absent. */
export function jsonFromProto(check: FieldCheck, value: Value | undefined, field: string): Json {
  return value === undefined ? null : valueToJson(check, value, field, 0);
}

/** The value on the wire of JSON that was checked when it came in. */
export function jsonToProto(json: Json): Value {
  if (json === null) {
    return create(ValueSchema, { kind: { case: "nullValue", value: NullValue.NULL_VALUE } });
  }
  if (typeof json === "string") {
    return create(ValueSchema, { kind: { case: "stringValue", value: json } });
  }
  if (typeof json === "number") {
    return create(ValueSchema, { kind: { case: "numberValue", value: json } });
  }
  if (typeof json === "boolean") {
    return create(ValueSchema, { kind: { case: "boolValue", value: json } });
  }
  if (isJsonObject(json)) {
    const members = Object.entries(json).flatMap(([name, member]) =>
      member === undefined ? [] : [[name, jsonToProto(member)] as const],
    );
    const value = create(StructSchema, { fields: Object.fromEntries(members) });
    return create(ValueSchema, { kind: { case: "structValue", value } });
  }
  const value = create(ListValueSchema, { values: json.map(jsonToProto) });
  return create(ValueSchema, { kind: { case: "listValue", value } });
}
