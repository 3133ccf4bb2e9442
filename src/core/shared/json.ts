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
