/**
 * Page tokens: opaque to clients, bound to the list and its filter, and checked so that a token of
 * another list, another filter or somebody's invention is PAGE_TOKEN_INVALID and no wrong page.
 */
import { createHash } from "node:crypto";
import { refusalOf, RefusedError } from "../../core/shared/refusal.ts";
import { canonicalText } from "../../engine/commit-codec.ts";
import { type FieldCheck, violate } from "./field-check.ts";

const PAGE_SIZE_DEFAULT = 100;
/** Most entries on a page. */
export const PAGE_SIZE_MAX = 1_000;
const TOKEN_VERSION = 1;
const BINDING_DIGITS = 16;
const TOKEN_LENGTH_MAX = 2_048;

/** What a token is bound to: the list's name and everything that chooses its entries. */
export type PageFilter = Readonly<Record<string, unknown>>;

function bindingOf(filter: PageFilter): string {
  const text = canonicalText(filter);
  return createHash("sha256").update(text).digest("hex").slice(0, BINDING_DIGITS);
}

/** The token of the page after a position. */
export function pageTokenOf(filter: PageFilter, position: string): string {
  const token = JSON.stringify([TOKEN_VERSION, bindingOf(filter), position]);
  return Buffer.from(token).toString("base64url");
}

function parsed(token: string): unknown {
  if (token.length > TOKEN_LENGTH_MAX) return undefined;
  try {
    return JSON.parse(Buffer.from(token, "base64url").toString()) as unknown;
  } catch {
    return undefined;
  }
}

/** The position in a token; undefined for the first page. Throws PAGE_TOKEN_INVALID. */
export function positionOf(filter: PageFilter, token: string): string | undefined {
  if (token === "") return undefined;
  const parts = parsed(token);
  if (Array.isArray(parts) && parts.length === 3) {
    const [version, binding, position] = parts as readonly unknown[];
    const isBound = version === TOKEN_VERSION && binding === bindingOf(filter);
    if (isBound && typeof position === "string") return position;
  }
  const message = "The page token belongs to another list or filter; start with the first page";
  throw new RefusedError(refusalOf("PAGE_TOKEN_INVALID", message));
}

/** A token that holds several positions. */
export function positionsTokenOf(filter: PageFilter, positions: readonly string[]): string {
  return pageTokenOf(filter, JSON.stringify(positions));
}

/** The positions in a token; undefined for the first page. Throws PAGE_TOKEN_INVALID. */
export function positionsOf(filter: PageFilter, token: string): readonly string[] | undefined {
  const position = positionOf(filter, token);
  // A token that is bound to the filter was made above.
  return position === undefined ? undefined : (JSON.parse(position) as readonly string[]);
}

/** The number in a token, 0 for the first page. Throws PAGE_TOKEN_INVALID. */
export function countPositionOf(filter: PageFilter, token: string): number {
  const position = positionOf(filter, token);
  return position === undefined ? 0 : Number(position);
}

/** The page size that was asked for; 100 when it was left out. */
export function checkPageSize(check: FieldCheck, pageSize: number): number {
  if (pageSize > PAGE_SIZE_MAX) violate(check, "page_size", `must be at most ${PAGE_SIZE_MAX}`);
  return pageSize === 0 ? PAGE_SIZE_DEFAULT : pageSize;
}
