/** What storage does to a value, for tests: through JSON text and back. */

import type { Json } from "../../shared/json.ts";

/** An event or another plain value as storage gives it back: JSON of no particular type. */
export function storedJson(value: object): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}

/** The value as it comes back from storage. */
export function throughStorage<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value)) as Value;
}
