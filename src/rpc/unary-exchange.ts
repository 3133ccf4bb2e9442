/**
 * The short way of a unary call over gRPC and HTTP/2: its message is gathered by two listeners and
 * its answer leaves in one write, instead of both going through a dozen async generators. What a
 * call means is the protocol library's all the same: deadlines, compression of answers, the status
 * in the trailers. Calls in other codecs, with a compressed request or of other protocols go the
 * general way. This halves what a call of a generated stub costs the server.
 */
import type { EventEmitter } from "node:events";
import { type Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouterOptions,
  createContextValues,
  type createHandlerContext,
  type createServiceImplSpec,
  type HandlerContext,
} from "@connectrpc/connect";
import {
  compressionNegotiate,
  createMethodSerializationLookup,
  encodeEnvelope,
  envelopeCompress,
  invokeUnaryImplementation,
} from "@connectrpc/connect/protocol";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { grpcTimeoutOf } from "./deadline.ts";
import { makeFrameSplitter } from "./grpc-frames.ts";
import { closeWithAnswer } from "./message-arrival.ts";
import {
  GRPC_CONTENT_TYPE,
  headersOf,
  isPlainGrpc,
  type NodeRequestHandler,
} from "./node-request.ts";

/** The library's context of a call; it must be told of the call's end. */
export type CallContext = ReturnType<typeof createHandlerContext>;

/** What the calls of a server have in common. */
export interface UnaryExchangeOptions {
  /** Keeps a call in sight of whoever cuts calls; the answer lets it go. */
  readonly keepOpen: (call: AbortController) => () => void;
  /** Has the errors that end a call before its handler is asked get their reason. */
  readonly nameReason: (context: CallContext) => void;
  readonly budget: {
    readonly take: (bytes: number) => void;
    readonly release: (bytes: number) => void;
  };
  /** How long the message may take to arrive. */
  readonly requestTimeoutMs: number;
  /** The error of a message that did not arrive in that time. */
  readonly lateError: (method: DescMethod) => ConnectError;
  /** Size of one message. */
  readonly messageBytesMax: number;
  /** Told of a call whose answer could not be written. */
  readonly onBroken: (method: string, error: unknown) => void;
}

type MethodSpec = ReturnType<typeof createServiceImplSpec>["methods"][string];
type UnarySpec = MethodSpec & { readonly kind: "unary" };

const OK = "0";
const INPUT_MESSAGE = "input message for unary method";
/** What the server can read and write, on every way. */
export const COMPRESSIONS = [compressionGzip, compressionBrotli];
/** Smaller answers are not worth a compression. */
export const COMPRESSED_FROM_BYTES = 1024;
const ACCEPTED_ENCODINGS = "grpc-accept-encoding";

function protocolError(text: string, code: Code): ConnectError {
  return new ConnectError(`protocol error: ${text}`, code);
}

/** The message of a call, once the caller has ended its side. */
function readMessage(
  request: Http2ServerRequest,
  take: (bytes: number) => void,
  lateError: () => ConnectError,
  { messageBytesMax, requestTimeoutMs }: UnaryExchangeOptions,
): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const frames = makeFrameSplitter(messageBytesMax);
  let message: Uint8Array | undefined;
  let isOver = false;
  const end = (): void => {
    isOver = true;
    clearTimeout(late);
  };
  const succeed = (whole: Uint8Array): void => {
    end();
    resolve(whole);
  };
  const fail = (error: unknown): void => {
    end();
    reject(ConnectError.from(error));
  };
  const late = setTimeout(() => fail(lateError()), requestTimeoutMs);
  request.on("data", (chunk: Uint8Array) => {
    if (isOver) return;
    take(chunk.length);
    try {
      for (const frame of frames.take(chunk)) {
        if (message) throw protocolError(`received extra ${INPUT_MESSAGE}`, Code.Unimplemented);
        message = frame;
      }
    } catch (error) {
      fail(error);
    }
  });
  request.once("end", () => {
    // One that is given up ends, too, before it closes.
    if (isOver || request.stream.closed) return;
    if (frames.isWithin()) fail(protocolError("incomplete envelope", Code.InvalidArgument));
    else if (!message) fail(protocolError(`missing ${INPUT_MESSAGE}`, Code.Unimplemented));
    else succeed(message);
  });
  request.once("close", () => {
    if (!isOver) fail(new ConnectError("The caller broke off", Code.Aborted));
  });
  return promise;
}

/** An answer in its envelope, compressed where that is worth it and the caller can read it. */
async function envelopeOf(bytes: Uint8Array, { requestHeader, responseHeader }: HandlerContext) {
  if (bytes.length < COMPRESSED_FROM_BYTES) return encodeEnvelope(0, bytes);
  const accepted = requestHeader.get(ACCEPTED_ENCODINGS);
  const { response } = compressionNegotiate(COMPRESSIONS, null, accepted, ACCEPTED_ENCODINGS);
  if (response) responseHeader.set("grpc-encoding", response.name);
  const envelope = { flags: 0, data: bytes };
  const { flags, data } = await envelopeCompress(envelope, response, COMPRESSED_FROM_BYTES);
  return encodeEnvelope(flags, data);
}

function send(
  response: Http2ServerResponse,
  { responseHeader, responseTrailer }: HandlerContext,
  envelope: Uint8Array | undefined,
): void {
  const header = Object.fromEntries(responseHeader);
  response.writeHead(200, { "content-type": GRPC_CONTENT_TYPE, ...header });
  response.addTrailers({ "grpc-status": OK, ...Object.fromEntries(responseTrailer) });
  if (envelope) response.end(envelope);
  else response.end();
}

/** The context of a call as the library makes it, but with one signal instead of three. */
function contextOf(
  request: Http2ServerRequest,
  requestHeader: Headers,
  method: DescMethod,
  call: AbortController,
  timeoutMs: number | undefined,
): CallContext {
  const deadlineMs = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
  const pass = (): void => {
    call.abort(new ConnectError("The deadline of the call passed", Code.DeadlineExceeded));
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(pass, timeoutMs);
  if (timeoutMs === 0) pass();
  return {
    service: method.parent,
    method,
    protocolName: "grpc",
    requestMethod: request.method,
    url: `${request.scheme}://${request.authority}${request.url}`,
    signal: call.signal,
    timeoutMs: () => (deadlineMs === undefined ? undefined : deadlineMs - performance.now()),
    requestHeader,
    responseHeader: new Headers(),
    responseTrailer: new Headers(),
    values: createContextValues(),
    abort: (reason) => {
      clearTimeout(timer);
      call.abort(reason);
    },
  };
}

function failureOf(error: unknown): ConnectError {
  return error instanceof ConnectError ? error : new ConnectError("internal error", Code.Internal);
}

/** Makes the short way of one method. */
export function makeUnaryExchange(
  spec: UnarySpec,
  callOptions: Partial<ConnectRouterOptions>,
  options: UnaryExchangeOptions,
): NodeRequestHandler {
  const { method } = spec;
  const { messageBytesMax, budget } = options;
  const { binaryOptions, jsonOptions, interceptors = [] } = callOptions;
  const limits = { readMaxBytes: messageBytesMax, writeMaxBytes: messageBytesMax };
  const lookup = createMethodSerializationLookup(method, binaryOptions, jsonOptions, limits);
  const inputs = lookup.getI(true);
  const outputs = lookup.getO(true);

  /** Has a call answered; a failure leaves its status in the trailers and no message. */
  async function answerOf(
    request: Http2ServerRequest,
    context: CallContext,
    take: (bytes: number) => void,
  ): Promise<Uint8Array | undefined> {
    const lateError = (): ConnectError => options.lateError(method);
    try {
      const bytes = await readMessage(request, take, lateError, options);
      const input = inputs.parse(bytes);
      const output = await invokeUnaryImplementation(spec, context, input, interceptors);
      const envelope = await envelopeOf(outputs.serialize(output), context);
      context.abort();
      return envelope;
    } catch (error) {
      context.abort(error);
      setTrailerStatus(context.responseTrailer, failureOf(error));
      return undefined;
    }
  }

  async function exchange(
    request: Http2ServerRequest,
    response: Http2ServerResponse,
    header: Headers,
    timeoutMs: number | undefined,
  ): Promise<void> {
    const call = new AbortController();
    const letGo = options.keepOpen(call);
    let heldBytes = 0;
    const ending: EventEmitter = response;
    ending.once("close", () => {
      letGo();
      budget.release(heldBytes);
      if (response.writableEnded) return;
      call.abort(new ConnectError("The caller is gone", Code.Canceled));
    });
    const context = contextOf(request, header, method, call, timeoutMs);
    options.nameReason(context);
    const envelope = await answerOf(request, context, (bytes) => {
      heldBytes += bytes;
      budget.take(bytes);
    });
    if (response.stream.destroyed) return;
    if (!request.readableEnded) closeWithAnswer(request);
    send(response, context, envelope);
  }

  return (request, response) => {
    if (!isPlainGrpc(request) || !(response instanceof Http2ServerResponse)) return false;
    const header = headersOf(request);
    const { timeoutMs, error } = grpcTimeoutOf(header);
    if (error) return false;
    exchange(request, response, header, timeoutMs).catch((cause: unknown) => {
      response.stream.destroy();
      options.onBroken(`${method.parent.typeName}/${method.name}`, cause);
    });
    return true;
  };
}
