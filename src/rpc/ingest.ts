/**
 * From an ingest request to its command and its outcome: the part that unary calls, batches and
 * streams share. This is the hot path of the server: one pass over the input, one JSON text.
 */
import { inputRejected } from "../core/runtime/admission.ts";
import type {
  IngestCommand,
  IngestOutcome,
  RuntimeCommand,
  RuntimeReply,
} from "../core/runtime/commands.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import { type InputId, inputIdOf, runtimeIdOf, type StreamName } from "../core/shared/ids.ts";
import { RefusedError } from "../core/shared/refusal.ts";
import type { BlobUses } from "../engine/blobs.ts";
import type { Committed, CommandEnvelope } from "../engine/stream-entry.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { Input } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import type { Caller } from "./caller.ts";
import { type FieldCheck, finish, violate } from "./codec/field-check.ts";
import { ingestOutcomeToProto, type OutcomeMessage } from "./codec/ingest-outcome.ts";
import { inputFromProto } from "./codec/input-from-proto.ts";
import { checkRuntime } from "./runtime-calls.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";

/** What the requests of all ingest calls have in common. */
export interface IngestItem {
  readonly runtimeId: string;
  readonly input?: Input | undefined;
  readonly withoutWake: boolean;
  readonly ensure: boolean;
}

/** How an item is to be treated besides what it says itself. */
export interface IngestTerms {
  /** Idempotency id of the call, with the hash of its content; asked for once that is checked. */
  readonly request?: { readonly requestId: string; readonly hashOf: () => string };
  /** Never given up because of conflicts. */
  readonly patient: boolean;
  /** An ephemeral input may be answered before its commit. */
  readonly mayAnswerEarly: boolean;
}

/** An item on its way to its stream. */
export interface PreparedIngest {
  readonly stream: StreamName;
  readonly envelope: CommandEnvelope<IngestCommand>;
  readonly payloadBytes: number;
  /** Memory that it takes until it is answered. */
  readonly heldBytes: number;
  readonly namespace: string;
  /** Blobs that the input refers to, with the content where it is still to be stored. */
  readonly blobs: BlobUses;
}

/** Bytes of a command besides its payload, near enough for batches and budgets. */
const COMMAND_BYTES = 300;

/** What ingesting needs of the service. */
export type IngestOptions = Pick<
  RuntimeServiceOptions,
  "streams" | "blobs" | "nowMs" | "entropy" | "limits"
>;

function checkInput(check: FieldCheck, input: Input | undefined): Input {
  if (input === undefined) {
    violate(check, "input", "is required");
    finish(check);
  }
  // `finish` has thrown when there is none.
  return input as Input;
}

/** Checks an item and makes its command. Throws INVALID_FIELD and PAYLOAD_TOO_LARGE. */
export function prepareIngest(
  options: IngestOptions,
  caller: Caller,
  check: FieldCheck,
  item: IngestItem,
  terms: IngestTerms,
): PreparedIngest {
  const { runtimeId, stream } = checkRuntime(check, caller.namespace, item.runtimeId);
  const wire = checkInput(check, item.input);
  check.prefix += "input.";
  const prepared = inputFromProto(check, wire, {
    now: options.nowMs(),
    freshInputId: options.entropy.freshId,
    payloadBytesMax: options.limits.inputPayloadBytesMax,
    inlineBytesMax: options.limits.inlineContentBytesMax,
    ...(caller.traceParent === undefined ? {} : { traceParent: caller.traceParent }),
  });
  const { input, bodyHash, payloadBytes, inputIdIsFresh, blobs } = prepared;
  const hasKey = input.idempotencyKey !== undefined;
  const { request } = terms;
  const command: IngestCommand = {
    type: "ingest",
    runtimeId,
    input,
    bodyHash,
    payloadBytes,
    withoutWake: item.withoutWake,
    ensure: item.ensure,
    defaults: options.limits.runtimeDefaults,
    inputIdIsFresh,
  };
  const envelope: CommandEnvelope<IngestCommand> = {
    command,
    name: command.type,
    ...(caller.actor === undefined ? {} : { actor: caller.actor }),
    ...(request && { requestId: request.requestId, bodyHash: request.hashOf() }),
    bytes: payloadBytes + COMMAND_BYTES,
    answeredEarly: terms.mayAnswerEarly && input.durability === "ephemeral" && !hasKey,
    retrySafe: hasKey || !inputIdIsFresh || request !== undefined,
    patient: terms.patient,
  };
  let heldBytes = envelope.bytes;
  for (const content of blobs.values()) heldBytes += content?.byteLength ?? 0;
  return { stream, envelope, payloadBytes, heldBytes, namespace: caller.namespace, blobs };
}

/** What a commit, or the state, answered to an ingest. */
export type IngestCommitted = Committed<RuntimeState, RuntimeEvent, RuntimeReply>;

/** The part of it that its caller is told. */
export type IngestAnswer = Pick<IngestCommitted, "reply" | "revision">;

/** What a commit of an ingest needs of the service. */
type CommitOptions = Pick<IngestOptions, "streams" | "blobs">;

/** Whether the history refers to the input's blobs after this answer. */
function isReferring({ reply }: IngestCommitted): boolean {
  return reply.type !== "ingested" || reply.outcome.type === "accepted";
}

/**
 * The answer to an input with blobs that is sure before one of them is looked at. What the runtime
 * has taken in before is never forgotten: asked without its blobs it is answered, not taken again.
 * A rejection may be outdated by the time of another question, so it is given as it was seen.
 */
async function answerWithoutBlobs(
  { streams }: CommitOptions,
  stream: StreamName,
  envelope: CommandEnvelope<RuntimeCommand>,
): Promise<IngestCommitted | undefined> {
  const preview = await streams.preview(stream, envelope);
  if (preview.kind === "commit") return undefined;
  if (preview.kind === "refuse") throw new RefusedError(preview.refusal);
  const { reply, before } = preview;
  if (reply.type !== "ingested" || reply.outcome.type !== "rejected") {
    return await streams.submit(stream, envelope);
  }
  const { revision, at, state } = before;
  return { reply, revision, at, state, events: [] };
}

/**
 * Commits the command of a prepared ingest. A duplicate and what is not taken in are answered
 * whatever is there of the blobs. Else content that is still to be stored is stored before the
 * commit, durably; when that fails nothing is admitted. Throws BLOB_NOT_FOUND for a blob that is
 * not there.
 */
export async function commitWithBlobs(
  options: CommitOptions,
  { stream, namespace, blobs: uses }: Pick<PreparedIngest, "stream" | "namespace" | "blobs">,
  envelope: CommandEnvelope<RuntimeCommand>,
): Promise<IngestCommitted> {
  const commit = (): Promise<IngestCommitted> => options.streams.submit(stream, envelope);
  if (uses.size === 0) return await commit();
  const answered = await answerWithoutBlobs(options, stream, envelope);
  return answered ?? (await options.blobs.referring(namespace, uses, commit, isReferring));
}

/** Commits a prepared ingest, with the blobs that its input refers to. */
export function submitIngest(
  options: CommitOptions,
  prepared: PreparedIngest,
): Promise<IngestCommitted> {
  const { stream, envelope, blobs } = prepared;
  if (blobs.size === 0) return options.streams.submit(stream, envelope);
  return commitWithBlobs(options, prepared, envelope);
}

/** Commits the items of one call in their order per runtime, whatever is to be stored first. */
export function makeIngestOrder(
  options: CommitOptions,
): (prepared: PreparedIngest) => Promise<IngestCommitted> {
  const tails = new Map<StreamName, Promise<void>>();
  return (prepared) => {
    const { stream, blobs } = prepared;
    const tail = tails.get(stream);
    if (tail === undefined && blobs.size === 0) return submitIngest(options, prepared);
    const submitted = (tail ?? Promise.resolve()).then(() => submitIngest(options, prepared));
    const settled = submitted.then(
      () => undefined,
      () => undefined,
    );
    const own = settled.then(() => {
      if (tails.get(stream) === own) tails.delete(stream);
    });
    tails.set(stream, own);
    return submitted;
  };
}

/** The outcome in an answer to an ingest. */
export function outcomeOf({ reply }: Pick<IngestAnswer, "reply">): IngestOutcome {
  if (reply.type === "ingested") return reply.outcome;
  throw new TypeError(`An ingest was answered with ${reply.type}`);
}

/** Members that the responses of all ingest calls have. */
export interface IngestResult {
  readonly outcome: OutcomeMessage;
  readonly revision: bigint;
  readonly durable: boolean;
}

/** What the caller of an ingest is told. */
export function ingestResultOf(answer: IngestAnswer): IngestResult {
  const { revision } = answer;
  const isCommitted = revision > 0;
  return {
    outcome: ingestOutcomeToProto(outcomeOf(answer), isCommitted),
    revision: BigInt(revision),
    durable: isCommitted,
  };
}

/** The input that a caller may wait for. Throws INPUT_REJECTED. */
export function admittedInputId(runtimeId: string, outcome: IngestOutcome): InputId {
  switch (outcome.type) {
    case "accepted":
      return outcome.header.inputId;
    case "deduplicated":
      return inputIdOf(outcome.existingId);
    case "rejected":
      throw new RefusedError(inputRejected(runtimeIdOf(runtimeId), outcome.reason));
  }
}
