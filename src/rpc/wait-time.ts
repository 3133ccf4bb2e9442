/** How long a call may wait: as asked for, as the server allows, and less than its own deadline. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { type FieldCheck, violate } from "./codec/field-check.ts";
import { durationFromProto } from "./codec/time.ts";

/** An answer is sent this share of the caller's deadline, or this long, before it is over. */
const DEADLINE_MARGIN_SHARE = 0.1;
const DEADLINE_MARGIN_MAX_MS = 500;

/** The time by the field `timeout` of a request; the longest when it was not given. */
export function waitMs(
  check: FieldCheck,
  timeout: Duration | undefined,
  shortestMs: number,
  longestMs: number,
  context: HandlerContext,
): number {
  const asked = timeout === undefined ? longestMs : durationFromProto(timeout);
  if (asked === undefined || asked < shortestMs || asked > longestMs) {
    violate(check, "timeout", `must be from ${shortestMs} to ${longestMs} ms`);
  }
  const leftMs = context.timeoutMs();
  const wanted = asked ?? 0;
  if (leftMs === undefined) return wanted;
  const marginMs = Math.min(leftMs * DEADLINE_MARGIN_SHARE, DEADLINE_MARGIN_MAX_MS);
  return Math.max(0, Math.min(wanted, leftMs - marginMs));
}
