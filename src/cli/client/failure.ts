/**
 * Reads what went wrong with a call out of the error and its details, and says it to people: what,
 * the reason, the fields, when to try again, what to do next.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.ts";
import { ErrorReason } from "../../../gen/keelson/errors/v1/errors_pb.ts";
import type { IngestError } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { durationFromProto } from "../../rpc/codec/time.ts";
import { enumWord, formatSpan, printable } from "./format.ts";
import { renderFacts } from "./table.ts";

/** One field that is wrong. */
export interface FailedField {
  readonly field: string;
  readonly description: string;
}

/** What went wrong with a call. */
export interface Failure {
  readonly code: Code;
  /** One of the published reasons; empty when the server did not answer, or is no Keelson. */
  readonly reason: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fields: readonly FailedField[];
  /** Absent when trying the same again does not help, or nobody knows when. */
  readonly retryAfterMs?: number;
}

/** What to do next, by reason. `<name>` is filled in from the metadata of the error. */
const NEXT_STEPS: Readonly<Record<string, string>> = {
  RUNTIME_NOT_REGISTERED:
    "create it with `keelson runtime ensure <runtimeId>`, or ingest with --ensure",
  INPUT_NOT_FOUND: "list what there is with `keelson runtime inputs <runtimeId>`",
  PROCESS_NOT_FOUND: "list what there is with `keelson process ls`, or register it",
  STREAM_NOT_FOUND: "check the name and --namespace",
  PAGE_TOKEN_INVALID: "start again at the first page, without --page-token",
  PAYLOAD_TOO_LARGE: "send less, or put the content elsewhere and send where it is",
  REQUEST_ID_REUSED: "take another request id",
  OPERATION_NOT_FOUND: "list what there is with `keelson operation ls <runtimeId>`",
  OPERATION_ALREADY_REGISTERED: "take another id: one names one operation for ever",
  OPERATION_LIMIT_REACHED:
    "wait until some have ended, or raise the limit with `keelson runtime ensure`",
  OPERATION_INVALID_TRANSITION: "look where it is with `keelson operation get`",
  QUEUE_FULL: "attach a worker, wait, or raise the limit with `keelson runtime ensure`",
  RUNTIME_DESTROYED: "take another name: a destroyed runtime never comes back",
  INVALID_STATE: "a stopped runtime comes back with `keelson runtime reset <runtimeId>`",
  INPUT_ALREADY_ADMITTED: "wait for it with `keelson runtime await <runtimeId> <existingId>`",
  INPUTS_ACTIVE:
    "let them be run, or take them back with `keelson runtime cancel-inputs <runtimeId>`",
  RUN_IN_FLIGHT: "wait for the run, interrupt it, or add --fence where the command has it",
  NO_CURRENT_RUN: "nothing to do: no run is in flight",
  STATE_MISMATCH: "it changed since it was shown; run the command again",
  EPOCH_MISMATCH: "it changed since it was shown; run the command again",
  REVISION_MISMATCH: "it changed since it was shown; run the command again",
  CONFLICT: "run the command again",
  OUTCOME_UNKNOWN: "look whether it happened before doing it again",
  DATABASE_UNAVAILABLE: "run the command again; the server repairs its connection itself",
  SERVER_DRAINING: "run the command again when the server is back",
  NOT_READY: "run the command again in a moment; the server is still starting",
  NEEDS_NEWER_SERVER: "ask a replica of a newer version",
  STREAM_QUARANTINED: "look at the server's log: it has the evidence",
  STREAM_CORRUPT: "look at it with `keelson runtime verify` and restore the database",
  INTERNAL: "look at the server's log: it has the cause",
};

/**
 * Codes that the transport gives to a connection that broke off. A Keelson server never sends them
 * without a reason, so without one nobody answered.
 */
const BROKEN_OFF: ReadonlySet<Code> = new Set([Code.Aborted, Code.Canceled, Code.Internal]);

/** Anything thrown by a call as a failure. */
export function failureOf(error: unknown): Failure {
  const connectError = ConnectError.from(error);
  const [errorInfo] = connectError.findDetails(ErrorInfoSchema);
  const [badRequest] = connectError.findDetails(BadRequestSchema);
  const [retryInfo] = connectError.findDetails(RetryInfoSchema);
  const retryDelay = retryInfo?.retryDelay;
  const retryAfterMs = retryDelay === undefined ? undefined : durationFromProto(retryDelay);
  const fields = badRequest?.fieldViolations ?? [];
  const isBrokenOff = errorInfo === undefined && BROKEN_OFF.has(connectError.code);
  return {
    code: isBrokenOff ? Code.Unavailable : connectError.code,
    reason: errorInfo?.reason ?? "",
    message: connectError.rawMessage,
    metadata: errorInfo?.metadata ?? {},
    fields: fields.map(({ field, description }) => ({ field, description })),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** The error of one item of a batch as a failure. */
export function failureOfItem(error: IngestError): Failure {
  const { retryDelay } = error;
  const retryAfterMs = retryDelay === undefined ? undefined : durationFromProto(retryDelay);
  const code = Object.values(Code).find((known) => known === error.code);
  return {
    code: typeof code === "number" ? code : Code.Unknown,
    reason: enumWord(ErrorReason, error.reason).toUpperCase(),
    message: error.message,
    metadata: error.metadata,
    fields: error.violations.map(({ field, description }) => ({ field, description })),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** True when the same call may succeed a little later and repeating it is safe. */
export function isPassing(failure: Failure): boolean {
  if (failure.code === Code.Unavailable) return true;
  if (failure.reason === "CONFLICT" || failure.reason === "OVERLOADED") return true;
  return failure.retryAfterMs !== undefined;
}

/** True when there was nobody to answer. */
function isUnreachable(failure: Failure): boolean {
  return failure.code === Code.Unavailable && failure.reason === "";
}

function nextStep(failure: Failure, address: string): string | undefined {
  if (isUnreachable(failure)) {
    return "start a server with `keelson dev`, or name one with --address or KEELSON_ADDRESS";
  }
  if (failure.code === Code.Unimplemented) {
    return `check that ${address} is a Keelson server of this version`;
  }
  if (failure.code === Code.DeadlineExceeded) return "give it longer with --timeout";
  const step = NEXT_STEPS[failure.reason];
  return step?.replaceAll(/<(\w+)>/g, (whole, name: string) => failure.metadata[name] ?? whole);
}

/** The name of a status code as the protocols write it, such as `not_found`. */
export function statusName(code: Code): string {
  return Code[code].replaceAll(/(?<=[a-z])[A-Z]/g, "_$&").toLowerCase();
}

/** The failure for people, in lines. */
export function failureText(failure: Failure, address: string): string {
  const { reason, code, retryAfterMs } = failure;
  const message = isUnreachable(failure)
    ? `No server answers at ${address} (${failure.message})`
    : failure.message;
  const next = nextStep(failure, address);
  const facts = renderFacts(
    [
      ["  reason", reason === "" ? statusName(code) : reason],
      ...Object.entries(failure.metadata).map(
        ([name, value]) => [`  ${printable(name)}`, printable(value)] as const,
      ),
      ...failure.fields.map(
        ({ field, description }) => [`  ${printable(field)}`, printable(description)] as const,
      ),
      ["  retry", retryAfterMs === undefined ? undefined : `after ${formatSpan(retryAfterMs)}`],
      ["  next", next === undefined ? undefined : printable(next)],
    ],
    (text) => text,
  );
  return `error: ${printable(message)}\n${facts.trimEnd()}`;
}

/** The failure as one JSON line, for scripts. */
export function failureJson(failure: Failure): string {
  const { code, retryAfterMs, ...rest } = failure;
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
  return JSON.stringify({ error: { code: statusName(code), ...rest, ...retry } });
}
