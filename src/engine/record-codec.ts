/** The stored form of records. */
import type { JsonObject } from "../core/shared/json.ts";
import type { StoredRecord } from "./ports.ts";

/** The body of a stored record. */
export function recordBody(record: StoredRecord): JsonObject {
  return JSON.parse(record.bodyText) as JsonObject;
}
