/** What storage does to a value, for tests: through JSON text and back. */

import type { Json } from "../../shared/json.ts";
import type { OrderedMap } from "../../shared/ordered-map.ts";

/** An event or another plain value as storage gives it back: JSON of no particular type. */
export function storedJson(value: object): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}

/** The value as it comes back from storage. */
export function throughStorage<Value>(value: Value): Value {
  return JSON.parse(JSON.stringify(value)) as Value;
}

function isMap(value: object): value is Pick<OrderedMap<string, unknown>, "entries"> {
  return "entries" in value && typeof value.entries === "function";
}

function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  if (isMap(value)) return [...value.entries()].map(plain);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  const sorted = members.toSorted(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, member]) => [name, plain(member)]));
}

/** Everything that a folded state holds, maps that a checkpoint leaves out included, as text. */
export function wholeImage(state: unknown): string {
  return JSON.stringify(plain(state));
}
