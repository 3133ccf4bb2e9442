/** Streams that this server cannot read: what goes over many streams goes on without them. */
import { RefusedError, type RefusalReason } from "../core/shared/refusal.ts";

const UNREADABLE: ReadonlySet<RefusalReason> = new Set([
  "STREAM_CORRUPT",
  "STREAM_QUARANTINED",
  "NEEDS_NEWER_SERVER",
]);

/** Whether an error says that a stream cannot be read here, now or later. */
export function isUnreadable(error: unknown): boolean {
  return error instanceof RefusedError && UNREADABLE.has(error.refusal.reason);
}
