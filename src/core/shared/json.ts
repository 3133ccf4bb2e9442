/** Plain JSON: the only shape that events, checkpoints and records may have. */

/** Any JSON value; objects and arrays are read-only. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** A JSON object; an absent member is left out, never `undefined` in stored text. */
export interface JsonObject {
  readonly [member: string]: Json | undefined;
}

/** Whether a JSON value is an object, neither null nor an array. */
export function isJsonObject(json: Json): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

/** Whether a JSON value is an array. */
export function isJsonArray(json: Json): json is readonly Json[] {
  return Array.isArray(json);
}

/** Whether two JSON values are the same, whatever the order of their members. */
export function sameJson(left: Json | undefined, right: Json | undefined): boolean {
  if (left === right) return true;
  if (left === undefined || right === undefined) return false;
  if (isJsonArray(left) || isJsonArray(right)) {
    if (!isJsonArray(left) || !isJsonArray(right)) return false;
    return left.length === right.length && left.every((item, at) => sameJson(item, right[at]));
  }
  if (!isJsonObject(left) || !isJsonObject(right)) return false;
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].every((name) => sameJson(left[name], right[name]));
}
