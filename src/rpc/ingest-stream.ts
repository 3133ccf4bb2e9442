/**
 * The bidirectional ingest: requests are taken in as they come, answers go out in order per
 * runtime, and a window bounds what is read ahead of the answers that were sent.
 */
import { create } from "@bufbuild/protobuf";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import {
  type IngestStreamRequest,
  type IngestStreamResponse,
  IngestStreamResponseSchema,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import type { Caller } from "./caller.ts";
import { makeFieldCheck } from "./codec/field-check.ts";
import { ingestErrorOf } from "./codec/ingest-outcome.ts";
import { wireRefusalOf } from "./errors.ts";
import {
  ingestResultOf,
  type IngestTerms,
  makeIngestOrder,
  type PreparedIngest,
  prepareIngest,
} from "./ingest.ts";
import { makeOutbox } from "./outbox.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";

/** Requests of one stream that are not answered yet, or whose answers are not sent yet. */
export const WINDOW_ITEMS = 256;
const TERMS: IngestTerms = { patient: true, mayAnswerEarly: true };
const DRAIN_RETRY_MS = 500;

/** A request that is not answered yet, in the order of its runtime. */
interface Slot {
  response: IngestStreamResponse | null;
}

/** What serving the streams of clients needs of the service. */
export type IngestStreamOptions = Pick<
  RuntimeServiceOptions,
  "streams" | "blobs" | "nowMs" | "entropy" | "limits" | "drainSignal" | "budget" | "observer"
>;

/** The end of a stream whose server goes down. */
export function serverDraining(): RefusedError {
  const message = "The server is going down; send what was not answered to another replica";
  return new RefusedError({
    ...refusalOf("SERVER_DRAINING", message),
    retryAfterMs: DRAIN_RETRY_MS,
  });
}

/** One stream of one client. */
export interface IngestLane {
  /** Takes a request in; it is answered in the order of its runtime. */
  readonly take: (request: IngestStreamRequest) => void;
  readonly inFlight: () => number;
}

/** Makes the lane of a stream; `answer` gets the responses, `onAnswered` is told after them. */
export function makeIngestLane(
  options: IngestStreamOptions,
  caller: Caller,
  answer: (response: IngestStreamResponse) => void,
  onAnswered: () => void,
): IngestLane {
  const { budget, observer } = options;
  const submit = makeIngestOrder(options);
  const waiting = new Map<string, Slot[]>();
  let inFlight = 0;

  function settle(runtimeId: string, slot: Slot, response: IngestStreamResponse): void {
    slot.response = response;
    const slots = waiting.get(runtimeId) ?? [];
    let answered = 0;
    for (const ready of slots) {
      if (ready.response === null) break;
      answer(ready.response);
      // An outgrown table of `waiting` may hold the slot for long.
      ready.response = null;
      answered += 1;
    }
    if (answered === 0) return;
    inFlight -= answered;
    if (answered === slots.length) waiting.delete(runtimeId);
    else slots.splice(0, answered);
    onAnswered();
  }

  function failed(clientSequence: bigint, error: unknown): IngestStreamResponse {
    if (wireRefusalOf(error).isBug) observer.itemFailed("IngestStream", error);
    const outcome = { case: "error", value: ingestErrorOf(error) } as const;
    return create(IngestStreamResponseSchema, { clientSequence, outcome });
  }

  /** Calls back with the response to a request; at once when it is refused before its stream. */
  function ingest(
    request: IngestStreamRequest,
    answered: (response: IngestStreamResponse) => void,
  ): void {
    const { clientSequence } = request;
    const fail = (error: unknown): void => answered(failed(clientSequence, error));
    let prepared: PreparedIngest;
    try {
      prepared = prepareIngest(options, caller, makeFieldCheck(), request, TERMS);
    } catch (error) {
      fail(error);
      return;
    }
    const { heldBytes } = prepared;
    budget.take(heldBytes);
    submit(prepared).then(
      (committed) => {
        budget.release(heldBytes);
        try {
          const result = ingestResultOf(committed);
          answered(create(IngestStreamResponseSchema, { clientSequence, ...result }));
        } catch (error) {
          fail(error);
        }
      },
      (error: unknown) => {
        budget.release(heldBytes);
        fail(error);
      },
    );
  }

  return {
    take: (request) => {
      const { runtimeId } = request;
      const slot: Slot = { response: null };
      const slots = waiting.get(runtimeId);
      if (slots) slots.push(slot);
      else waiting.set(runtimeId, [slot]);
      inFlight += 1;
      ingest(request, (response) => settle(runtimeId, slot, response));
    },
    inFlight: () => inFlight,
  };
}

/** Serves one stream of a client until it ends, or the server goes down. */
export async function* ingestStream(
  options: IngestStreamOptions,
  caller: Caller,
  requests: AsyncIterable<IngestStreamRequest>,
): AsyncGenerator<IngestStreamResponse> {
  const { drainSignal } = options;
  const outbox = makeOutbox<IngestStreamResponse>();
  let isRead = false;
  let wakeReader: () => void = () => undefined;

  const endWhenAnswered = (): void => {
    wakeReader();
    if (lane.inFlight() > 0) return;
    if (isRead) outbox.end();
    else if (drainSignal.aborted) outbox.fail(serverDraining());
  };
  const lane = makeIngestLane(options, caller, outbox.push, endWhenAnswered);
  const isFull = (): boolean => lane.inFlight() + outbox.size() >= WINDOW_ITEMS;

  async function read(): Promise<void> {
    for await (const request of requests) {
      if (drainSignal.aborted || outbox.isOver()) return;
      lane.take(request);
      while (isFull() && !outbox.isOver()) {
        await new Promise<void>((resolve) => {
          wakeReader = resolve;
        });
      }
    }
    isRead = true;
    endWhenAnswered();
  }

  drainSignal.addEventListener("abort", endWhenAnswered);
  if (drainSignal.aborted) endWhenAnswered();
  read().catch((error: unknown) => outbox.fail(error));
  try {
    for await (const response of outbox.items()) {
      yield response;
      if (!isFull()) wakeReader();
    }
  } finally {
    outbox.end();
    wakeReader();
    drainSignal.removeEventListener("abort", endWhenAnswered);
  }
}
