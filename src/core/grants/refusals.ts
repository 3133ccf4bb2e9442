/** The refusals of the grants of a session. */
import type { ProcessId } from "../shared/ids.ts";
import { type Refusal, refusalOf } from "../shared/refusal.ts";

/** How long a caller that met a transfer under way should wait before another try. */
const TRANSFER_RETRY_MS = 1000;

/** The scope was not granted the process. */
export function handleNotGranted(processId: ProcessId): Refusal {
  const message = "The scope has no grant of the process; nothing was moved";
  return refusalOf("HANDLE_NOT_GRANTED", message, { processId });
}

/** The grant is leaving for another session. */
export function handleInTransfer(processId: ProcessId): Refusal {
  const message = "The grant is being moved to another session; wait until that is over";
  const refusal = refusalOf("HANDLE_IN_TRANSFER", message, { processId });
  return { ...refusal, retryAfterMs: TRANSFER_RETRY_MS };
}

/** Another task of the session has the name. */
export function nameTaken(processId: ProcessId): Refusal {
  const message = "The session has a task of this id; wait for its end, or choose another id";
  return refusalOf("TASK_ALREADY_EXISTS", message, { processId });
}

/** The process state of the session is deleted for good. */
export function sessionDeleted(): Refusal {
  const message = "The process state of the session was deleted; use another session id";
  return refusalOf("SESSION_DELETED", message);
}

/** The session has as many grants as it may have. */
export function tooManyGrants(limit: number): Refusal {
  const message = `The session has ${limit} grants and may have no more; revoke some first`;
  return refusalOf("LIMIT_EXCEEDED", message, { limit });
}
