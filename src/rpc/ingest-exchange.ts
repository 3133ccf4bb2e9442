/**
 * The short way of the ingest stream over gRPC and HTTP/2: requests are decoded chunk by chunk as
 * the socket brings them, and the answers of one turn of the event loop leave as one write, instead
 * of each message going alone through a chain of async generators. Streams with a deadline or with
 * compression, and those of other protocols, go the general way; what is answered is the same.
 * At tens of thousands of inputs a second this saves a quarter of what an input costs.
 */
import type { EventEmitter } from "node:events";
import { type Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { type BinaryReadOptions, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import {
  IngestStreamRequestSchema,
  type IngestStreamResponse,
  IngestStreamResponseSchema,
  RuntimeControlPlaneService,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { GRPC_TIMEOUT_HEADER } from "./deadline.ts";
import { abortReasonOf } from "./errors.ts";
import { joinFrames, makeFrameSplitter } from "./grpc-frames.ts";
import { closeWithAnswer } from "./message-arrival.ts";
import {
  type IngestLane,
  type IngestStreamOptions,
  makeIngestLane,
  serverDraining,
  WINDOW_ITEMS,
} from "./ingest-stream.ts";
import { failureOf, reportCall, SUCCESS } from "./interceptor.ts";
import {
  GRPC_CONTENT_TYPE,
  headersOf,
  isPlainGrpc,
  type NodeRequestHandler,
} from "./node-request.ts";

/** What the exchanges of a server work with. */
export interface IngestExchangeOptions extends IngestStreamOptions {
  readonly budget: IngestStreamOptions["budget"] & {
    /** Resolves when there is room for more requests; `undefined` while there is. */
    readonly room: () => Promise<void> | undefined;
  };
  /** Aborts when calls have had their time to end. */
  readonly cutSignal: AbortSignal;
  readonly messageBytesMax: number;
  /** How long a message may take from its first byte on. */
  readonly requestTimeoutMs: number;
  readonly binaryOptions: Partial<BinaryReadOptions>;
}

const METHOD = RuntimeControlPlaneService.method.ingestStream;

/** Path of the calls that may go the short way. */
export const INGEST_STREAM_PATH = `/${RuntimeControlPlaneService.typeName}/${METHOD.name}`;

/** One stream between a client and its lane. */
class IngestExchange {
  readonly #options: IngestExchangeOptions;
  readonly #request: Http2ServerRequest;
  readonly #response: Http2ServerResponse;
  readonly #header: Headers;
  readonly #startedMs = performance.now();
  #lane: IngestLane | undefined;
  #answers: IngestStreamResponse[] = [];
  #isRead = false;
  #isOver = false;
  #isClogged = false;
  #isScheduled = false;
  /** Whether a message has begun that is not whole yet. */
  #isWithin = false;
  #lateTimer: NodeJS.Timeout | undefined;

  constructor(
    options: IngestExchangeOptions,
    request: Http2ServerRequest,
    response: Http2ServerResponse,
  ) {
    this.#options = options;
    this.#request = request;
    this.#response = response;
    this.#header = headersOf(request);
  }

  start(): void {
    const { cutSignal, drainSignal, messageBytesMax, binaryOptions } = this.#options;
    const response: EventEmitter = this.#response;
    this.#response.writeHead(200, {
      "content-type": GRPC_CONTENT_TYPE,
      "grpc-accept-encoding": "gzip,br",
    });
    closeWithAnswer(this.#request);
    response.on("close", this.#leave);
    response.on("drain", this.#unclog);
    cutSignal.addEventListener("abort", this.#cut);
    drainSignal.addEventListener("abort", this.#settle);
    try {
      const caller = callerOf({ requestHeader: this.#header });
      const answer = (message: IngestStreamResponse): void => this.#answer(message);
      this.#lane = makeIngestLane(this.#options, caller, answer, this.#settle);
    } catch (error) {
      this.#finish(error);
      return;
    }
    const frames = makeFrameSplitter(messageBytesMax);
    this.#request.on("data", (chunk: Uint8Array) => {
      try {
        for (const frame of frames.take(chunk)) {
          if (this.#isOver || drainSignal.aborted) return;
          this.#stopLateTimer();
          this.#lane?.take(this.#decode(frame, binaryOptions));
        }
        this.#isWithin = frames.isWithin();
        this.#pace();
      } catch (error) {
        this.#finish(error);
      }
    });
    this.#request.once("end", () => {
      this.#isWithin = false;
      this.#stopLateTimer();
      if (frames.isWithin()) {
        this.#finish(new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument));
      }
      this.#isRead = true;
      this.#settle();
    });
    this.#settle();
  }

  #decode(frame: Uint8Array, options: Partial<BinaryReadOptions>) {
    try {
      return fromBinary(IngestStreamRequestSchema, frame, options);
    } catch (error) {
      const message = `parse binary: ${error instanceof Error ? error.message : String(error)}`;
      throw new ConnectError(message, Code.Internal);
    }
  }

  #stopLateTimer(): void {
    clearTimeout(this.#lateTimer);
    this.#lateTimer = undefined;
  }

  /** Gives a message that has begun its time. */
  #expectRest(): void {
    if (!this.#isWithin || this.#isOver) return;
    const { requestTimeoutMs } = this.#options;
    this.#lateTimer ??= setTimeout(() => {
      const message = `A message did not arrive whole within ${requestTimeoutMs} ms`;
      this.#finish(new ConnectError(message, Code.DeadlineExceeded));
    }, requestTimeoutMs);
  }

  /** Stops reading while too much waits for its answer, for the client or for memory. */
  #pace(): void {
    const waiting = (this.#lane?.inFlight() ?? 0) + this.#answers.length;
    const room = this.#options.budget.room();
    if (waiting < WINDOW_ITEMS && !this.#isClogged && room === undefined) {
      this.#request.resume();
      this.#expectRest();
      return;
    }
    // While it is this side that does not read, nobody is late.
    this.#stopLateTimer();
    this.#request.pause();
    void room?.then(() => this.#pace());
  }

  #answer(message: IngestStreamResponse): void {
    this.#answers.push(message);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    this.#isScheduled = false;
    this.#send();
    this.#settle();
    if (!this.#isOver) this.#pace();
  };

  #send(): void {
    if (this.#isOver || this.#isClogged || this.#answers.length === 0) return;
    const answers = this.#answers;
    this.#answers = [];
    const encoded = answers.map((message) => toBinary(IngestStreamResponseSchema, message));
    this.#isClogged = !this.#response.write(joinFrames(encoded));
  }

  readonly #unclog = (): void => {
    this.#isClogged = false;
    this.#flush();
  };

  /** Ends the stream once everything is answered and there will be no more. */
  readonly #settle = (): void => {
    if ((this.#lane?.inFlight() ?? 0) > 0 || this.#answers.length > 0) return;
    if (this.#isRead) this.#finish();
    else if (this.#options.drainSignal.aborted) this.#finish(serverDraining());
  };

  readonly #cut = (): void => this.#finish(abortReasonOf(this.#options.cutSignal));

  /** The client is gone, or has got everything. */
  readonly #leave = (): void => {
    this.#finish(new ConnectError("The caller gave up the call", Code.Canceled));
  };

  #finish(error?: unknown): void {
    if (this.#isOver) return;
    this.#send();
    this.#isOver = true;
    this.#stopLateTimer();
    const { cutSignal, drainSignal, observer } = this.#options;
    cutSignal.removeEventListener("abort", this.#cut);
    drainSignal.removeEventListener("abort", this.#settle);
    const failure = error === undefined ? undefined : failureOf(error);
    const ending = failure?.ending ?? SUCCESS;
    reportCall(observer, METHOD, this.#header, { startedMs: this.#startedMs, ending });
    const trailer = setTrailerStatus(new Headers(), failure?.error);
    this.#response.addTrailers(Object.fromEntries(trailer));
    this.#response.end();
  }
}

/** Makes the handler of ingest streams; it answers false for those that go the general way. */
export function makeIngestExchanges(options: IngestExchangeOptions): NodeRequestHandler {
  return (request, response) => {
    if (!isPlainGrpc(request) || !(response instanceof Http2ServerResponse)) return false;
    if (request.headers[GRPC_TIMEOUT_HEADER] !== undefined) return false;
    new IngestExchange(options, request, response).start();
    return true;
  };
}
