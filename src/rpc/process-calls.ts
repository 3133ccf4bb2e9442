/** What most calls about a process begin with: which process, how it stands, and its commands. */
import { refusedByTable } from "../core/process/refusals.ts";
import { type ProcessId, processIdOf, type StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { ProcessFold, ProcessStreams } from "../dispatch/process-streams.ts";
import type { CommandEnvelope } from "../engine/stream-entry.ts";
import { streamName } from "../engine/stream-name.ts";
import type { Caller } from "./caller.ts";
import { checkId, checkOptionalId, type FieldCheck, violate } from "./codec/field-check.ts";

/** Kind of the streams of processes. */
export const PROCESS_KIND = "process";

/** Bytes of a command without a payload, near enough. */
const COMMAND_BYTES = 500;

/** A process that a request names. */
export interface NamedProcess {
  readonly processId: ProcessId;
  readonly stream: StreamName;
}

/** The process that a request names; `#` parts the segments of names that are made of it. */
export function checkProcess(
  check: FieldCheck,
  namespace: string,
  processId: string,
  field = "process_id",
): NamedProcess {
  checkId(check, processId, field);
  if (processId.includes("#")) violate(check, field, "must not contain #");
  const stream = streamName(PROCESS_KIND, namespace, processId);
  return { processId: processIdOf(processId), stream };
}

/** Throws PROCESS_NOT_FOUND and NO_LONGER_RETAINED: who may append may read. */
export function assertReadable(fold: ProcessFold, processId: ProcessId): void {
  const refusal = refusedByTable(fold.state, "append_event", processId);
  if (refusal !== undefined) throw new RefusedError(refusal);
}

/** The confirmed fold of a process that is retained. */
export async function freshProcess(
  streams: Pick<ProcessStreams, "fresh">,
  { processId, stream }: NamedProcess,
): Promise<ProcessFold> {
  const fold = await streams.fresh(stream);
  assertReadable(fold, processId);
  return fold;
}

/** How a command travels. */
export interface CommandTerms {
  readonly requestId: string | undefined;
  readonly hashOf: () => string;
  /** Bytes of what the command carries. */
  readonly payloadBytes?: number;
  /** False when the command does its work again each time that it is sent without an id. */
  readonly isRepeatable: boolean;
}

/** The idempotency id of a call and the hash of its body. */
export function checkTerms(
  check: FieldCheck,
  requestId: string,
  hashOf: () => string,
  isRepeatable = true,
): CommandTerms {
  const checked = checkOptionalId(check, requestId, "request_id");
  return { requestId: checked, hashOf, isRepeatable };
}

/** A command with who asked. */
export function commandEnvelope<Command extends { readonly type: string }>(
  caller: Caller,
  command: Command,
  terms: CommandTerms,
): CommandEnvelope<Command> {
  const { requestId, hashOf, payloadBytes = 0, isRepeatable } = terms;
  return {
    command,
    name: command.type,
    ...(caller.actor === undefined ? {} : { actor: caller.actor }),
    ...(requestId === undefined ? {} : { requestId, bodyHash: hashOf() }),
    bytes: payloadBytes + COMMAND_BYTES,
    retrySafe: isRepeatable || requestId !== undefined,
  };
}

/** Throws PAYLOAD_TOO_LARGE. */
export function assertPayloadBytes(what: string, actualBytes: number, limitBytes: number): void {
  if (actualBytes <= limitBytes) return;
  const message = `The ${what} has ${actualBytes} bytes, at most ${limitBytes} are allowed`;
  throw new RefusedError(refusalOf("PAYLOAD_TOO_LARGE", message, { limitBytes, actualBytes }));
}
