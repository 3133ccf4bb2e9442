/**
 * How a call ended, as one word: `answered`, or the reason of its error. The code of an error must
 * be the one that the published list of reasons gives it, and its details must be complete.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.ts";
import { ErrorReason } from "../../../gen/keelson/errors/v1/errors_pb.ts";

const DOMAIN = "keelson.dev";
/** The number of a reason divided by this is the number of its code. */
const REASONS_PER_CODE = 100;

/** An error in full. */
export interface TypedError {
  readonly code: Code;
  readonly reason: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Paths of the fields that are wrong. */
  readonly fields: readonly string[];
  /** Undefined without the advice to come back. */
  readonly retryDelayMs: number | undefined;
}

const NUMBERS: ReadonlyMap<string, number> = new Map(Object.entries(ErrorReason));

/** The published code of a reason. */
function codeOf(reason: string): number {
  const number = NUMBERS.get(reason);
  if (number === undefined) throw new Error(`${reason} is not a published reason`);
  return Math.floor(number / REASONS_PER_CODE);
}

/** The name of a reason in an answer; throws when it does not go with the code beside it. */
export function itemReasonOf(item: {
  readonly code: number;
  readonly reason: number;
  readonly metadata: Readonly<Record<string, string>>;
}): string {
  const [name] = Object.entries(ErrorReason).find(([, number]) => number === item.reason) ?? [];
  if (name === undefined) throw new Error(`${item.reason} is not a published reason`);
  if (codeOf(name) !== item.code) throw new Error(`${name} came as ${item.code}`);
  assertFacts(name, item.metadata);
  return name;
}

/** Facts that an error of a reason must bring along. */
const FACTS: Readonly<Record<string, readonly string[]>> = {
  EPOCH_MISMATCH: ["expectedEpochId", "epochId"],
  EVENT_CODE_RESERVED: ["eventCode"],
  EXECUTOR_INCARNATION_DEAD: ["executorId", "incarnationId"],
  INPUT_ALREADY_ADMITTED: ["existingId", "sameContent"],
  INPUT_NOT_RUNNABLE: ["kind"],
  HANDLE_IN_TRANSFER: ["processId"],
  HANDLE_NOT_GRANTED: ["processId"],
  INPUT_REJECTED: ["rejection"],
  INPUTS_ACTIVE: ["active"],
  INVALID_STATE: ["state"],
  LEASE_LOST: ["generation", "currentGeneration"],
  LIMIT_EXCEEDED: ["limit"],
  PAYLOAD_TOO_LARGE: ["limitBytes", "actualBytes"],
  QUEUE_FULL: ["queueLimit", "queued"],
  RESULT_TOO_LARGE: ["limitBytes", "actualBytes"],
  REVISION_MISMATCH: ["expectedRevision", "revision"],
  REVISION_NOT_FOUND: ["headRevision"],
  RUNTIME_DESTROYED: ["runtimeId"],
  RUNTIME_NOT_REGISTERED: ["runtimeId"],
  RUN_ENDED: ["runId", "how"],
  RUN_IN_FLIGHT: ["runId", "generation"],
  RUN_NOT_FOUND: ["runId"],
  STATE_MISMATCH: ["expectedState", "state"],
};

/** Reasons of errors that name what is wrong field by field. */
const FIELD_REASONS: ReadonlySet<string> = new Set([
  "INVALID_FIELD",
  "PAYLOAD_SCHEMA_INVALID",
  "PAYLOAD_SCHEMA_MISMATCH",
]);

/** Throws when an error does not bring the facts that belong to its reason. */
function assertFacts(reason: string, metadata: Readonly<Record<string, string>>): void {
  for (const fact of FACTS[reason] ?? []) {
    if (!metadata[fact]) throw new Error(`${reason} came without ${fact}`);
  }
}

/** The parts of an error that is typed as the contract says; throws for any other error. */
export function typedErrorOf(thrown: unknown): TypedError {
  const error = ConnectError.from(thrown);
  const [info] = error.findDetails(ErrorInfoSchema);
  if (info?.domain !== DOMAIN) throw new Error(`an error without its reason: ${error.message}`);
  const { reason, metadata } = info;
  if (codeOf(reason) !== error.code) throw new Error(`${reason} came as ${Code[error.code]}`);
  assertFacts(reason, metadata);
  const fields = error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) => fieldViolations.map((violation) => violation.field));
  if (FIELD_REASONS.has(reason) !== fields.length > 0) {
    throw new Error(`${reason} came with ${fields.length} violations`);
  }
  const [failure] = error.findDetails(PreconditionFailureSchema);
  const isPrecondition = error.code === Code.FailedPrecondition || error.code === Code.Aborted;
  if (isPrecondition && failure?.violations[0]?.type !== reason) {
    throw new Error(`${reason} came without its precondition`);
  }
  const [retry] = error.findDetails(RetryInfoSchema);
  const delay = retry?.retryDelay;
  return {
    code: error.code,
    reason,
    message: error.rawMessage,
    metadata,
    fields,
    retryDelayMs: delay && Number(delay.seconds) * 1_000 + delay.nanos / 1_000_000,
  };
}

/** The error that a call ends with; throws when it is answered, or when the error is not typed. */
export async function refusalOf(call: Promise<unknown>): Promise<TypedError> {
  const thrown = await call.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (thrown === undefined) throw new Error("the call was answered");
  return typedErrorOf(thrown.error);
}

/** `answered`, or the reason of the error that a call ends with. */
export async function verdictOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => "answered",
    (error: unknown) => typedErrorOf(error).reason,
  );
}

/** The first message of a stream, which is then given up. */
export async function firstOf<Message>(
  open: (signal: AbortSignal) => AsyncIterable<Message>,
): Promise<Message> {
  const leaving = new AbortController();
  try {
    for await (const message of open(leaving.signal)) return message;
  } finally {
    leaving.abort();
  }
  throw new Error("a stream without a message");
}
