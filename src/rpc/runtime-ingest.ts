/** Ingest, IngestBatch, IngestStream, IngestAndAwait and AwaitInput. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import {
  AwaitInputResponseSchema,
  type IngestAndAwaitRequest,
  IngestAndAwaitRequestSchema,
  IngestAndAwaitResponseSchema,
  type IngestBatchItem,
  IngestBatchItemSchema,
  type IngestBatchRequest,
  IngestBatchResponseSchema,
  type IngestBatchResult,
  IngestBatchResultSchema,
  type IngestRequest,
  IngestRequestSchema,
  IngestResponseSchema,
  type RuntimeControlPlaneService,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { type Caller, callerOf } from "./caller.ts";
import { completionToProto } from "./codec/completion.ts";
import {
  checkOptionalId,
  type FieldCheck,
  finish,
  makeFieldCheck,
  violate,
} from "./codec/field-check.ts";
import { ingestErrorOf } from "./codec/ingest-outcome.ts";
import { requestHash } from "./codec/request-hash.ts";
import { wireRefusalOf } from "./errors.ts";
import {
  admittedInputId,
  type IngestAnswer,
  ingestResultOf,
  type IngestTerms,
  makeIngestOrder,
  outcomeOf,
  type PreparedIngest,
  prepareIngest,
  submitIngest,
} from "./ingest.ts";
import { ingestStream } from "./ingest-stream.ts";
import { checkRuntime, checkTarget, freshHistory, runtimeNotRegistered } from "./runtime-calls.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";
import { findInput, readCompletion } from "./stored-inputs.ts";
import { waitMs } from "./wait-time.ts";

type IngestService = Pick<
  ServiceImpl<typeof RuntimeControlPlaneService>,
  "ingest" | "ingestBatch" | "ingestStream" | "ingestAndAwait" | "awaitInput"
>;

function termsOf(
  check: FieldCheck,
  requestId: string,
  hashOf: () => string,
  mayAnswerEarly: boolean,
): IngestTerms {
  const checked = checkOptionalId(check, requestId, "request_id");
  return {
    patient: false,
    mayAnswerEarly,
    ...(checked === undefined ? {} : { request: { requestId: checked, hashOf } }),
  };
}

function prepareUnary(
  options: RuntimeServiceOptions,
  caller: Caller,
  request: IngestRequest | IngestAndAwaitRequest,
  check: FieldCheck,
): PreparedIngest {
  const isAwaited = request.$typeName === "keelson.runtime.v1.IngestAndAwaitRequest";
  const hashOf = (): string =>
    isAwaited
      ? requestHash(IngestAndAwaitRequestSchema, request)
      : requestHash(IngestRequestSchema, request);
  const terms = termsOf(check, request.requestId, hashOf, !isAwaited);
  return prepareIngest(options, caller, check, request, terms);
}

/**
 * Items of a batch that are worked on in one turn: the database gets the first ones while the rest
 * is prepared, and other calls do not wait for a thousand inputs.
 */
const ITEMS_PER_TURN = 100;

/** What is wrong with an item, or why it was not taken in. */
interface FailedItem {
  readonly error: unknown;
}

const failedItem = (error: unknown): FailedItem => ({ error });

/** What is kept of an answer until the others are there: the states of a thousand would add up. */
const shortAnswer = ({ reply, revision }: IngestAnswer): IngestAnswer => ({ reply, revision });

/** An item that is sent with its turn among those of its runtime, or what is wrong with it. */
type BatchEntry = PreparedIngest | FailedItem;

/** Makes something of every item, in order, some in each turn. */
async function mapInTurns<Item, Made>(
  items: readonly Item[],
  make: (item: Item) => Made,
): Promise<Made[]> {
  const made: Made[] = [];
  for (let start = 0; start < items.length; start += ITEMS_PER_TURN) {
    if (start > 0) await nextTurn();
    made.push(...items.slice(start, start + ITEMS_PER_TURN).map(make));
  }
  return made;
}

function tooLarge(what: "inputs" | "bytes", limit: number, actual: number): RefusedError {
  const message = `The batch has ${actual} ${what}, at most ${limit} are allowed`;
  const metadata = what === "inputs" ? { limitInputs: limit } : { limitBytes: limit };
  const counted = what === "inputs" ? { actualInputs: actual } : { actualBytes: actual };
  return new RefusedError(refusalOf("BATCH_TOO_LARGE", message, { ...metadata, ...counted }));
}

function prepareItem(
  options: RuntimeServiceOptions,
  caller: Caller,
  item: IngestBatchItem,
  request: IngestTerms["request"],
): BatchEntry {
  try {
    const terms = { patient: false, mayAnswerEarly: true, ...(request ? { request } : {}) };
    return prepareIngest(options, caller, makeFieldCheck(), item, terms);
  } catch (error) {
    // An item that is wrong has an outcome of its own and stops no other.
    return { error };
  }
}

/** Checks all items; throws what is wrong with the batch as a whole. */
async function prepareBatch(
  options: RuntimeServiceOptions,
  caller: Caller,
  request: IngestBatchRequest,
): Promise<readonly BatchEntry[]> {
  const { batchInputsMax, batchBytesMax } = options.limits;
  const check = makeFieldCheck();
  const requestId = checkOptionalId(check, request.requestId, "request_id");
  const { items } = request;
  if (items.length === 0) violate(check, "items", "is required: at least one item");
  finish(check);
  if (items.length > batchInputsMax) throw tooLarge("inputs", batchInputsMax, items.length);
  const turns = new Map<string, number>();
  const entries = await mapInTurns(items, (item) => {
    if (requestId === undefined) return prepareItem(options, caller, item, undefined);
    const turn = turns.get(item.runtimeId) ?? 0;
    turns.set(item.runtimeId, turn + 1);
    const hashOf = (): string => requestHash(IngestBatchItemSchema, item);
    return prepareItem(options, caller, item, { requestId: `${requestId}#${turn}`, hashOf });
  });
  const bytes = entries.reduce(
    (sum, entry) => sum + ("error" in entry ? 0 : entry.payloadBytes),
    0,
  );
  if (bytes > batchBytesMax) throw tooLarge("bytes", batchBytesMax, bytes);
  return entries;
}

/** Makes the ingesting part of the service. */
export function makeRuntimeIngest(options: RuntimeServiceOptions): IngestService {
  const { streams, limits, waits, observer } = options;

  function failedResult(error: unknown): IngestBatchResult {
    if (wireRefusalOf(error).isBug) observer.itemFailed("IngestBatch", error);
    const outcome = { case: "error", value: ingestErrorOf(error) } as const;
    return create(IngestBatchResultSchema, { outcome });
  }

  /** Made when all items are answered: messages of a thousand would wait for the last one. */
  function batchResult(answer: IngestAnswer | FailedItem): IngestBatchResult {
    if ("error" in answer) return failedResult(answer.error);
    try {
      return create(IngestBatchResultSchema, ingestResultOf(answer));
    } catch (error) {
      return failedResult(error);
    }
  }

  return {
    ingest: async (request, context) => {
      const prepared = prepareUnary(options, callerOf(context), request, makeFieldCheck());
      const committed = await submitIngest(options, prepared);
      return create(IngestResponseSchema, ingestResultOf(committed));
    },

    ingestBatch: async (request, context) => {
      const entries = await prepareBatch(options, callerOf(context), request);
      const submit = makeIngestOrder(options);
      const answerOf = (entry: BatchEntry): Promise<IngestAnswer | FailedItem> =>
        "error" in entry ? Promise.resolve(entry) : submit(entry).then(shortAnswer, failedItem);
      const answers = await Promise.all(await mapInTurns(entries, answerOf));
      return create(IngestBatchResponseSchema, { results: await mapInTurns(answers, batchResult) });
    },

    ingestStream: (requests, context) => ingestStream(options, callerOf(context), requests),

    ingestAndAwait: async (request, context) => {
      const check = makeFieldCheck();
      const timeoutMs = waitMs(check, request.timeout, 1, limits.longPollMaxMs, context);
      const prepared = prepareUnary(options, callerOf(context), request, check);
      const { stream } = prepared;
      const committed = await submitIngest(options, prepared);
      const inputId = admittedInputId(request.runtimeId, outcomeOf(committed));
      const { signal } = context;
      const completion = await waits.wait(stream, inputId, { timeoutMs, signal });
      const { outcome, revision } = ingestResultOf(committed);
      if (outcome.case === "rejected") throw new TypeError("A rejection cannot be waited for");
      return create(IngestAndAwaitResponseSchema, {
        admission: { outcome },
        completion: completionToProto(completion),
        revision,
      });
    },

    awaitInput: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const target = checkTarget(check, request.target);
      const timeoutMs = waitMs(check, request.timeout, 0, limits.longPollMaxMs, context);
      finish(check);
      const fold = await freshHistory(streams, runtime);
      const header = await findInput(streams, runtime.stream, fold, target);
      const { inputId } = header;
      const isOver = header.outcome !== undefined;
      if (!isOver && fold.state.registration !== "registered") {
        throw runtimeNotRegistered(runtime.runtimeId);
      }
      const { signal } = context;
      const completion = isOver
        ? await readCompletion(streams, runtime.stream, header)
        : await waits.wait(runtime.stream, inputId, { timeoutMs, signal });
      return create(AwaitInputResponseSchema, {
        inputId,
        completion: completionToProto(completion),
      });
    },
  };
}
