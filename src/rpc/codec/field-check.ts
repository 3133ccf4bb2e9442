/**
 * Collects what is wrong in a request, field by field, so that a caller learns of everything at
 * once. The checks answer the value, or a stand-in that is never used because `finish` throws.
 */
import type { FieldViolation } from "../../core/shared/refusal.ts";
import { invalidFields } from "../errors.ts";

/** Most bytes of an id, a key, a name or a label. */
export const ID_BYTES_MAX = 256;
/** Most labels on one thing. */
export const LABELS_MAX = 64;
/** Most bytes of the reason of an action. */
export const REASON_BYTES_MAX = 1_024;

const PLAIN_ASCII = /^[\x20-\x7e]*$/;
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u2028\u2029]/u;
const VIOLATIONS_MAX = 100;

/** The violations found so far; `prefix` is the path of what is being looked at, with its dot. */
export interface FieldCheck {
  prefix: string;
  violations: FieldViolation[] | null;
}

/** A check that has found nothing yet; fields are named below `prefix`, such as `items[3].`. */
export function makeFieldCheck(prefix = ""): FieldCheck {
  return { prefix, violations: null };
}

/** Notes that a field is wrong. */
export function violate(check: FieldCheck, field: string, description: string): void {
  check.violations ??= [];
  if (check.violations.length >= VIOLATIONS_MAX) return;
  check.violations.push({ field: check.prefix + field, description });
}

/** Throws INVALID_FIELD with everything that was found. */
export function finish(check: FieldCheck): void {
  if (check.violations !== null) throw invalidFields(check.violations);
}

/** Whether a text has 1 to 256 bytes and can be printed. */
function isPrintableId(text: string): boolean {
  if (text.length === 0 || text.length > ID_BYTES_MAX) return false;
  if (PLAIN_ASCII.test(text)) return true;
  return !UNPRINTABLE.test(text) && Buffer.byteLength(text) <= ID_BYTES_MAX;
}

/** An id, a key or a name that must be there. */
export function checkId(check: FieldCheck, text: string, field: string): string {
  if (!isPrintableId(text)) {
    const rule = `1 to ${ID_BYTES_MAX} bytes of printable UTF-8`;
    violate(check, field, text === "" ? `is required: ${rule}` : `must be ${rule}`);
  }
  return text;
}

/** An id, a key or a name; undefined when it was not given. */
export function checkOptionalId(
  check: FieldCheck,
  text: string,
  field: string,
): string | undefined {
  return text === "" ? undefined : checkId(check, text, field);
}

/** Free text: any characters but NUL and lone surrogates. */
export function checkText(check: FieldCheck, text: string, field: string): string {
  if (!text.isWellFormed()) violate(check, field, "must not contain lone surrogates");
  if (text.includes("\0")) violate(check, field, "must not contain NUL");
  return text;
}

/** Free text of at most so many bytes; undefined when it was not given. */
export function checkBoundedText(
  check: FieldCheck,
  text: string,
  field: string,
  bytesMax: number,
): string | undefined {
  if (text === "") return undefined;
  const bytes = Buffer.byteLength(text);
  if (bytes > bytesMax) {
    violate(check, field, `has ${bytes} bytes, at most ${bytesMax} are allowed`);
  }
  return checkText(check, text, field);
}

/** Labels; undefined when there are none. */
export function checkLabels(
  check: FieldCheck,
  labels: Readonly<Record<string, string>>,
  field: string,
): Readonly<Record<string, string>> | undefined {
  const entries = Object.entries(labels);
  if (entries.length === 0) return undefined;
  if (entries.length > LABELS_MAX) {
    violate(check, field, `has ${entries.length} labels, at most ${LABELS_MAX} are allowed`);
    return undefined;
  }
  for (const [name, value] of entries) {
    if (!isPrintableId(name)) {
      violate(check, field, `must have names of 1 to ${ID_BYTES_MAX} bytes of printable UTF-8`);
    }
    if (value !== "" && !isPrintableId(value)) {
      violate(check, field, `must have values of at most ${ID_BYTES_MAX} printable bytes`);
    }
  }
  return labels;
}

/** A revision, a generation or a sequence: a whole number below 2^53. */
export function checkCount(check: FieldCheck, count: bigint, field: string): number {
  if (count > BigInt(Number.MAX_SAFE_INTEGER)) violate(check, field, "must be below 2^53");
  return Number(count);
}
