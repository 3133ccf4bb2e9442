/**
 * Times, spans, enum values and foreign text as people read them, and spans as people write them.
 */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampFromProto } from "../../rpc/codec/time.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const SPAN_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: SECOND_MS,
  m: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
};

/** A span such as `350ms`, `1.2s`, `5m12s`, `3h4m` or `2d3h`. */
export function formatSpan(spanMs: number): string {
  const ms = Math.max(0, Math.round(spanMs));
  if (ms < SECOND_MS) return `${ms}ms`;
  if (ms < 10 * SECOND_MS) return `${(Math.floor(ms / 100) / 10).toString()}s`;
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)}s`;
  if (ms < HOUR_MS) return pair(ms, MINUTE_MS, "m", SECOND_MS, "s");
  if (ms < DAY_MS) return pair(ms, HOUR_MS, "h", MINUTE_MS, "m");
  return pair(ms, DAY_MS, "d", HOUR_MS, "h");
}

function pair(ms: number, bigMs: number, big: string, smallMs: number, small: string): string {
  const rest = Math.floor((ms % bigMs) / smallMs);
  return `${Math.floor(ms / bigMs)}${big}${rest === 0 ? "" : `${rest}${small}`}`;
}

/** Milliseconds of a span such as `500ms`, `30s` or `1m30s`; undefined when it is none. */
export function parseSpan(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined;
  let spanMs = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    spanMs += Number(amount) * (SPAN_UNITS[unit ?? ""] ?? 0);
  }
  return Math.round(spanMs);
}

/** A time in UTC such as `2026-01-31 12:00:00.000Z`; a dash when there is none. */
export function formatTime(time: Timestamp | undefined): string {
  const timeMs = time === undefined ? undefined : timestampFromProto(time);
  return timeMs === undefined ? "-" : new Date(timeMs).toISOString().replace("T", " ");
}

/** How long ago a time is, by this machine's clock; a dash when there is none. */
export function formatAge(time: Timestamp | undefined, nowMs: number = Date.now()): string {
  const timeMs = time === undefined ? undefined : timestampFromProto(time);
  if (timeMs === undefined) return "-";
  const ageMs = Math.max(0, nowMs - timeMs);
  return ageMs < SECOND_MS ? "now" : formatSpan(Math.floor(ageMs / SECOND_MS) * SECOND_MS);
}

/** A time with how long ago it is. */
export function formatTimeAndAge(time: Timestamp | undefined): string {
  if (time === undefined) return "-";
  const age = formatAge(time);
  return `${formatTime(time)} (${age === "now" ? age : `${age} ago`})`;
}

/** A generated enum: names to numbers. */
export type EnumNames<Value extends number> = Readonly<Record<string, Value>>;

/** The word for a value of an enum, such as `idle`; a dash for the zero. */
export function enumWord(names: EnumNames<number>, value: number): string {
  if (value === 0) return "-";
  const found = Object.entries(names).find(([, number]) => number === value);
  return found?.[0].toLowerCase() ?? `unknown(${value})`;
}

/** All words of an enum, for help texts. */
export function enumWords(names: EnumNames<number>): readonly string[] {
  return Object.keys(names)
    .filter((name) => names[name] !== 0)
    .map((name) => name.toLowerCase());
}

/** The value for a word of an enum, in any case, with `-` or `_`; undefined when there is none. */
export function enumValue<Value extends number>(
  names: EnumNames<Value>,
  word: string,
): Value | undefined {
  const value = names[word.toUpperCase().replaceAll("-", "_")];
  return value === 0 ? undefined : value;
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Text of others made harmless for a terminal: control characters are shown, not obeyed. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (found) => {
    return SHORT_ESCAPES[found] ?? `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Printable text cut to a number of characters. */
export function shortened(text: string, charactersMax: number): string {
  const whole = Array.from(printable(text));
  if (whole.length <= charactersMax) return whole.join("");
  return `${whole.slice(0, charactersMax - 1).join("")}…`;
}

/** A switch as a word. */
export function yesNo(isOn: boolean): string {
  return isOn ? "yes" : "no";
}
