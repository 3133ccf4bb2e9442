/**
 * Selectors: how declared semantics read a payload. Owns resolution, truth and text of what was
 * selected; must not know events.
 */
import { isJsonArray, isJsonObject, type Json } from "../shared/json.ts";

/** Reads something out of a payload. */
export type Selector =
  | { readonly type: "payload" }
  /** RFC 6901; a place that is not there is an error. */
  | { readonly type: "pointer"; readonly pointer: string }
  | { readonly type: "fixed"; readonly value: Json }
  /** `{name}` in the template is replaced by the text of the field's selection. */
  | {
      readonly type: "template";
      readonly template: string;
      readonly fields: Readonly<Record<string, Selector>>;
    }
  /** True where the pointer leads to something. */
  | { readonly type: "present"; readonly pointer: string };

/** What was selected, or the pointer that leads nowhere. */
export type Selection =
  | { readonly found: true; readonly value: Json }
  | { readonly found: false; readonly pointer: string };

const ARRAY_INDEX = /^(?:0|[1-9]\d*)$/;
const PLACEHOLDER = /\{([A-Za-z0-9_.-]+)\}/g;

const selected = (value: Json): Selection => ({ found: true, value });

function member(json: Json, name: string): Json | undefined {
  if (isJsonArray(json)) return ARRAY_INDEX.test(name) ? json[Number(name)] : undefined;
  return isJsonObject(json) && Object.hasOwn(json, name) ? json[name] : undefined;
}

/** What stands at a JSON pointer; undefined where it leads nowhere. */
function atPointer(payload: Json, pointer: string): Json | undefined {
  if (pointer === "") return payload;
  let place: Json | undefined = payload;
  for (const token of pointer.split("/").slice(1)) {
    if (place === undefined) return undefined;
    place = member(place, token.replaceAll("~1", "/").replaceAll("~0", "~"));
  }
  return place;
}

/** The text of a selected value: strings as they are, everything else as JSON. */
export function textOf(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Whether a selected value counts as true: null, false and everything empty do not. */
export function isTruthy(value: Json): boolean {
  if (value === null || typeof value === "boolean") return value === true;
  if (typeof value === "number") return true;
  if (typeof value === "string") return value !== "";
  return Array.isArray(value) ? value.length > 0 : Object.keys(value).length > 0;
}

function fillTemplate(
  template: string,
  fields: Readonly<Record<string, Selector>>,
  payload: Json,
): Selection {
  const texts = new Map<string, string>();
  for (const [name, field] of Object.entries(fields)) {
    const selection = select(field, payload);
    if (!selection.found) return selection;
    texts.set(name, textOf(selection.value));
  }
  return selected(template.replace(PLACEHOLDER, (whole, name: string) => texts.get(name) ?? whole));
}

/** Reads a payload with a selector. */
export function select(selector: Selector, payload: Json): Selection {
  switch (selector.type) {
    case "payload":
      return selected(payload);
    case "fixed":
      return selected(selector.value);
    case "present":
      return selected(atPointer(payload, selector.pointer) !== undefined);
    case "pointer": {
      const value = atPointer(payload, selector.pointer);
      return value === undefined ? { found: false, pointer: selector.pointer } : selected(value);
    }
    case "template":
      return fillTemplate(selector.template, selector.fields, payload);
  }
}
