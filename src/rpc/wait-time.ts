/** How long a call may wait: as asked for, as the server allows, and less than its own deadline. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { type FieldCheck, violate } from "./codec/field-check.ts";
import { durationFromProto } from "./codec/time.ts";

/** An answer is sent this long before the caller's own deadline, so that it arrives. */
const DEADLINE_MARGIN_MS = 100;

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
  return leftMs === undefined ? wanted : Math.min(wanted, leftMs - DEADLINE_MARGIN_MS);
}
