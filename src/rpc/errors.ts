/**
 * The one table from reasons to wire codes, and the one way in which anything thrown becomes an
 * error on the wire: a typed refusal with `google.rpc` details, or a constant INTERNAL.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type Refusal,
  type RefusalReason,
  refusalOf,
  RefusedError,
} from "../core/shared/refusal.ts";
import { StorageError } from "../engine/ports.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { durationToProto } from "./codec/time.ts";
import { protocolRefusal } from "./protocol-errors.ts";

/** Who defined the reasons, as `ErrorInfo` says it. */
const ERROR_DOMAIN = "keelson.dev";

const DATABASE_RETRY_MS = 1_000;
const RUNTIME_TYPE = "keelson.runtime.v1.Runtime";
const PROCESS_TYPE = "keelson.process.v1.Process";

/** Reasons of refusals, and those that only the transport knows. */
export type WireReason = RefusalReason | "CANCELLED" | "DEADLINE_EXCEEDED";

/** The table: every reason has one code. */
export const CODE_OF = {
  CANCELLED: Code.Canceled,
  OUTCOME_UNKNOWN: Code.Unknown,
  INVALID_FIELD: Code.InvalidArgument,
  PAGE_TOKEN_INVALID: Code.InvalidArgument,
  PAYLOAD_TOO_LARGE: Code.InvalidArgument,
  BATCH_TOO_LARGE: Code.InvalidArgument,
  RESULT_TOO_LARGE: Code.InvalidArgument,
  EVENT_CODE_RESERVED: Code.InvalidArgument,
  OPERATION_WAIT_DUPLICATE: Code.InvalidArgument,
  INPUT_NOT_RUNNABLE: Code.InvalidArgument,
  PAYLOAD_SCHEMA_INVALID: Code.InvalidArgument,
  PAYLOAD_SCHEMA_MISMATCH: Code.InvalidArgument,
  EVENT_TYPE_UNDECLARED: Code.InvalidArgument,
  REPLAY_KEY_REQUIRED: Code.InvalidArgument,
  SELECTOR_UNRESOLVED: Code.InvalidArgument,
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
  RUNTIME_NOT_REGISTERED: Code.NotFound,
  INPUT_NOT_FOUND: Code.NotFound,
  RUN_NOT_FOUND: Code.NotFound,
  STREAM_NOT_FOUND: Code.NotFound,
  REVISION_NOT_FOUND: Code.NotFound,
  EXECUTOR_NOT_FOUND: Code.NotFound,
  OPERATION_NOT_FOUND: Code.NotFound,
  PROCESS_NOT_FOUND: Code.NotFound,
  BLOB_NOT_FOUND: Code.NotFound,
  BLOB_TOO_LARGE: Code.InvalidArgument,
  BLOB_DIGEST_MISMATCH: Code.InvalidArgument,
  REQUEST_ID_REUSED: Code.AlreadyExists,
  OPERATION_ALREADY_REGISTERED: Code.AlreadyExists,
  INPUT_ALREADY_ADMITTED: Code.AlreadyExists,
  REGISTRATION_HASH_CONFLICT: Code.AlreadyExists,
  REPLAY_KEY_CONFLICT: Code.AlreadyExists,
  EXTERNAL_REF_CONFLICT: Code.AlreadyExists,
  QUEUE_FULL: Code.ResourceExhausted,
  OVERLOADED: Code.ResourceExhausted,
  WATCH_OVERFLOW: Code.ResourceExhausted,
  LIMIT_EXCEEDED: Code.ResourceExhausted,
  OPERATION_LIMIT_REACHED: Code.ResourceExhausted,
  RUNTIME_DESTROYED: Code.FailedPrecondition,
  INVALID_STATE: Code.FailedPrecondition,
  RUN_IN_FLIGHT: Code.FailedPrecondition,
  NO_CURRENT_RUN: Code.FailedPrecondition,
  RUN_ENDED: Code.FailedPrecondition,
  CONTRIBUTORS_NOT_APPLIED: Code.FailedPrecondition,
  CONTRIBUTORS_MISMATCH: Code.FailedPrecondition,
  INPUT_REJECTED: Code.FailedPrecondition,
  INPUTS_ACTIVE: Code.FailedPrecondition,
  LEASE_HELD: Code.FailedPrecondition,
  LEASE_LOST: Code.FailedPrecondition,
  EXECUTOR_INCARNATION_DEAD: Code.FailedPrecondition,
  NOT_RUNNABLE: Code.FailedPrecondition,
  OPERATION_INVALID_TRANSITION: Code.FailedPrecondition,
  OPERATION_PEER_NOT_EXPECTED: Code.FailedPrecondition,
  OPERATION_PEER_ALREADY_READY: Code.FailedPrecondition,
  NO_LONGER_RETAINED: Code.FailedPrecondition,
  PROCESS_TERMINAL: Code.FailedPrecondition,
  LEASE_REQUIRED: Code.FailedPrecondition,
  AUTHORITY_REFUSED: Code.FailedPrecondition,
  NOT_CLAIMABLE: Code.FailedPrecondition,
  NOT_A_TASK: Code.FailedPrecondition,
  TASK_NOT_FOUND: Code.NotFound,
  TASK_ALREADY_EXISTS: Code.AlreadyExists,
  TASK_LIVE: Code.FailedPrecondition,
  HANDLE_NOT_VISIBLE: Code.FailedPrecondition,
  HANDLE_NOT_GRANTED: Code.FailedPrecondition,
  HANDLE_IN_TRANSFER: Code.FailedPrecondition,
  SESSION_DELETED: Code.FailedPrecondition,
  REVISION_MISMATCH: Code.Aborted,
  EPOCH_MISMATCH: Code.Aborted,
  STATE_MISMATCH: Code.Aborted,
  CONFLICT: Code.Aborted,
  INTERNAL: Code.Internal,
  DATABASE_UNAVAILABLE: Code.Unavailable,
  SERVER_DRAINING: Code.Unavailable,
  NOT_READY: Code.Unavailable,
  NEEDS_NEWER_SERVER: Code.Unavailable,
  STREAM_QUARANTINED: Code.Unavailable,
  STREAM_CORRUPT: Code.DataLoss,
} as const satisfies Record<WireReason, Code>;

/** What a caller is told about anything that was thrown. */
export interface WireRefusal extends Omit<Refusal, "reason"> {
  readonly reason: WireReason;
  readonly code: Code;
  /** True when nobody foresaw it: the cause belongs into the log. */
  readonly isBug: boolean;
}

type OutgoingDetail = NonNullable<ConstructorParameters<typeof ConnectError>[3]>[number];

function refusedAs(reason: WireReason, refusal: Omit<Refusal, "reason">): WireRefusal {
  return { ...refusal, reason, code: CODE_OF[reason], isBug: reason === "INTERNAL" };
}

function storageRefusal(error: StorageError): WireRefusal {
  if (error.kind !== "unavailable") return internalRefusal();
  const message = "The database did not answer in time; send the same request again";
  return refusedAs("DATABASE_UNAVAILABLE", {
    message,
    metadata: {},
    retryAfterMs: DATABASE_RETRY_MS,
  });
}

function internalRefusal(): WireRefusal {
  return refusedAs("INTERNAL", {
    message: "Internal error; it was logged with its cause",
    metadata: {},
  });
}

function transportRefusal(error: ConnectError): WireRefusal | undefined {
  if (error.code === Code.Canceled) {
    return refusedAs("CANCELLED", { message: "The caller gave up the call", metadata: {} });
  }
  if (error.code === Code.DeadlineExceeded) {
    return refusedAs("DEADLINE_EXCEEDED", {
      message: "The deadline of the call passed before the answer",
      metadata: {},
    });
  }
  const refusal = protocolRefusal(error);
  return refusal && refusedAs(refusal.reason, refusal);
}

/** What a caller is told about `error`; never anything that was not meant for callers. */
export function wireRefusalOf(error: unknown): WireRefusal {
  if (error instanceof RefusedError) return refusedAs(error.refusal.reason, error.refusal);
  if (error instanceof StorageError) return storageRefusal(error);
  if (error instanceof ConnectError) return transportRefusal(error) ?? internalRefusal();
  if (error instanceof Error && error.name === "AbortError") {
    return refusedAs("CANCELLED", { message: "The caller gave up the call", metadata: {} });
  }
  return internalRefusal();
}

function subjectOf(refusal: WireRefusal): string {
  const { runtimeId, processId, operationId, runId, stream } = refusal.metadata;
  return runtimeId ?? processId ?? operationId ?? runId ?? stream ?? "";
}

function detailsOf(refusal: WireRefusal): OutgoingDetail[] {
  const { reason, code, message, metadata, violations, retryAfterMs } = refusal;
  const errorInfo: MessageInitShape<typeof ErrorInfoSchema> = {
    reason,
    domain: ERROR_DOMAIN,
    metadata: { ...metadata },
  };
  const details: OutgoingDetail[] = [{ desc: ErrorInfoSchema, value: errorInfo }];
  if (violations !== undefined && violations.length > 0) {
    const value = { fieldViolations: violations.map((violation) => ({ ...violation })) };
    details.push({ desc: BadRequestSchema, value });
  }
  if (code === Code.FailedPrecondition || code === Code.Aborted) {
    const violation = { type: reason, subject: subjectOf(refusal), description: message };
    details.push({ desc: PreconditionFailureSchema, value: { violations: [violation] } });
  }
  if (reason === "RUNTIME_NOT_REGISTERED" || reason === "RUNTIME_DESTROYED") {
    const value = { resourceType: RUNTIME_TYPE, resourceName: metadata["runtimeId"] ?? "" };
    details.push({ desc: ResourceInfoSchema, value });
  }
  if (reason === "PROCESS_NOT_FOUND" || reason === "PROCESS_TERMINAL") {
    const value = { resourceType: PROCESS_TYPE, resourceName: metadata["processId"] ?? "" };
    details.push({ desc: ResourceInfoSchema, value });
  }
  if (retryAfterMs !== undefined) {
    details.push({ desc: RetryInfoSchema, value: { retryDelay: durationToProto(retryAfterMs) } });
  }
  return details;
}

/** The error on the wire for what a caller is told. */
export function connectErrorOf(refusal: WireRefusal, cause?: unknown): ConnectError {
  const { message, code } = refusal;
  return new ConnectError(message, code, undefined, detailsOf(refusal), cause);
}

/** An error that the transport itself made and that carries its own code, such as UNIMPLEMENTED. */
export function isTransportError(error: unknown): error is ConnectError {
  return error instanceof ConnectError && transportRefusal(error) === undefined;
}

/** The refusal of a call whose fields are wrong. */
export function invalidFields(violations: NonNullable<Refusal["violations"]>): RefusedError {
  const fields = violations.map((violation) => violation.field).join(", ");
  const message = `Fields are missing or outside their limits: ${fields}`;
  return new RefusedError({ ...refusalOf("INVALID_FIELD", message), violations });
}

/** Why a call ended early; a caller that is just gone gives no reason of its own. */
export function abortReasonOf(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error
    ? reason
    : new ConnectError("The caller gave up the call", Code.Canceled);
}
