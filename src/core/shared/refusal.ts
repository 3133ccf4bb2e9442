/**
 * The closed set of reasons for which a caller can be refused. `rpc/errors.ts` maps each to a wire
 * code; the published list is `keelson/errors/v1/errors.proto`.
 */

/** Why a command or a request was refused; upper snake case, as published. */
export type RefusalReason =
  | "INVALID_FIELD"
  | "PAYLOAD_TOO_LARGE"
  | "BATCH_TOO_LARGE"
  | "EVENT_CODE_RESERVED"
  | "PAGE_TOKEN_INVALID"
  | "RUNTIME_NOT_REGISTERED"
  | "RUNTIME_DESTROYED"
  | "INPUT_NOT_FOUND"
  | "RUN_NOT_FOUND"
  | "OPERATION_NOT_FOUND"
  | "OPERATION_ALREADY_REGISTERED"
  | "OPERATION_LIMIT_REACHED"
  | "OPERATION_INVALID_TRANSITION"
  | "OPERATION_PEER_NOT_EXPECTED"
  | "OPERATION_PEER_ALREADY_READY"
  | "OPERATION_WAIT_DUPLICATE"
  | "STREAM_NOT_FOUND"
  | "REVISION_NOT_FOUND"
  | "INVALID_STATE"
  | "INPUT_REJECTED"
  | "INPUT_NOT_RUNNABLE"
  | "INPUT_ALREADY_ADMITTED"
  | "INPUTS_ACTIVE"
  | "RUN_IN_FLIGHT"
  | "NO_CURRENT_RUN"
  | "RUN_ENDED"
  | "CONTRIBUTORS_NOT_APPLIED"
  | "CONTRIBUTORS_MISMATCH"
  | "LEASE_HELD"
  | "LEASE_LOST"
  | "EXECUTOR_NOT_FOUND"
  | "BLOB_NOT_FOUND"
  | "BLOB_TOO_LARGE"
  | "BLOB_DIGEST_MISMATCH"
  | "EXECUTOR_INCARNATION_DEAD"
  | "NOT_RUNNABLE"
  | "HANDLE_NOT_GRANTED"
  | "HANDLE_IN_TRANSFER"
  | "SESSION_DELETED"
  | "REQUEST_ID_REUSED"
  | "REVISION_MISMATCH"
  | "EPOCH_MISMATCH"
  | "STATE_MISMATCH"
  | "CONFLICT"
  | "QUEUE_FULL"
  | "RESULT_TOO_LARGE"
  | "WATCH_OVERFLOW"
  | "LIMIT_EXCEEDED"
  | "OVERLOADED"
  | "STREAM_CORRUPT"
  | "STREAM_QUARANTINED"
  | "NEEDS_NEWER_SERVER"
  | "DATABASE_UNAVAILABLE"
  | "SERVER_DRAINING"
  | "NOT_READY"
  | "NO_LONGER_RETAINED"
  | "PAYLOAD_SCHEMA_INVALID"
  | "PAYLOAD_SCHEMA_MISMATCH"
  | "EVENT_TYPE_UNDECLARED"
  | "REPLAY_KEY_REQUIRED"
  | "SELECTOR_UNRESOLVED"
  | "PROCESS_NOT_FOUND"
  | "REGISTRATION_HASH_CONFLICT"
  | "REPLAY_KEY_CONFLICT"
  | "EXTERNAL_REF_CONFLICT"
  | "PROCESS_TERMINAL"
  | "LEASE_REQUIRED"
  | "AUTHORITY_REFUSED"
  | "NOT_CLAIMABLE"
  | "NOT_A_TASK"
  | "TASK_NOT_FOUND"
  | "TASK_ALREADY_EXISTS"
  | "TASK_LIVE"
  | "HANDLE_NOT_VISIBLE"
  | "OUTCOME_UNKNOWN"
  | "INTERNAL";

/** One field of a request that is wrong, for the caller to mend. */
export interface FieldViolation {
  /** Path of the field in the request, such as `input.prompt.text`. */
  readonly field: string;
  /** What is wrong and what is allowed. */
  readonly description: string;
}

/** A typed refusal: the reason, a sentence for people, and facts for programs. */
export interface Refusal {
  readonly reason: RefusalReason;
  /** One sentence: what was wrong, what is allowed, what to do next. Never user payloads. */
  readonly message: string;
  /** Ids, states, revisions and limits; never payloads. */
  readonly metadata: Readonly<Record<string, string>>;
  /** For INVALID_FIELD: every field that is wrong. */
  readonly violations?: readonly FieldViolation[];
  /** How long to wait before another try, where trying again can help. */
  readonly retryAfterMs?: number;
}

/** Builds a refusal; metadata values are stringified so that callers can pass numbers. */
export function refusalOf(
  reason: RefusalReason,
  message: string,
  metadata: Readonly<Record<string, string | number>> = {},
): Refusal {
  const text: Record<string, string> = {};
  for (const [name, value] of Object.entries(metadata)) text[name] = String(value);
  return { reason, message, metadata: text };
}

/** Carries a refusal through code that answers with promises. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  readonly refusal: Refusal;

  constructor(refusal: Refusal, options?: { readonly cause?: unknown }) {
    super(refusal.message, options);
    this.refusal = refusal;
  }
}
