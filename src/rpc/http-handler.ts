/**
 * From Node's requests to the routes and back, for gRPC, gRPC-Web and Connect over HTTP/1.1 and
 * HTTP/2. Owns what concerns every call before its message is read: the gate that turns callers
 * away while the server cannot serve, and the bytes that calls hold in memory.
 */
import type { EventEmitter } from "node:events";
import { Http2ServerRequest } from "node:http2";
import type { Writable } from "node:stream";
import type { DescMethod } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createConnectRouter,
  createServiceImplSpec,
  type HandlerContext,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest } from "@connectrpc/connect/protocol";
import {
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { type Refusal, RefusedError } from "../core/shared/refusal.ts";
import { makeBag } from "./bag.ts";
import { forgetFarDeadline } from "./deadline.ts";
import { connectErrorOf, isTransportError, wireRefusalOf } from "./errors.ts";
import { codeName } from "./interceptor.ts";
import { closeWithAnswer, messagesInTime, wholeInTime } from "./message-arrival.ts";
import type {
  NodeRequest,
  NodeRequestHandler,
  NodeResponse,
  RegisterService,
} from "./node-request.ts";
import {
  abortWhenLost,
  sendAtOnce,
  type ShortExchange,
  shortExchangeOf,
  shortRequestOf,
} from "./short-exchange.ts";
import {
  type CallContext,
  COMPRESSED_FROM_BYTES,
  COMPRESSIONS,
  makeUnaryExchange,
} from "./unary-exchange.ts";

/** Bytes of requests that are being read or answered, of all calls together. */
export interface InFlightBudget {
  readonly take: (bytes: number) => void;
  readonly release: (bytes: number) => void;
  /** Resolves when there is room again; `undefined` while there is. */
  readonly room: () => Promise<void> | undefined;
}

/** What the handler of all calls needs. */
export interface RpcHandlerOptions {
  /** Registers the services. */
  readonly routes: (register: RegisterService) => void;
  /** Handlers of streams by path that are asked first; what they leave goes the general way. */
  readonly shortWays: ReadonlyMap<string, NodeRequestHandler>;
  /** Asked before the message of a call is read; a refusal ends the call. Health is never asked. */
  readonly gate: () => Refusal | undefined;
  /** Told of every call that the gate ended. */
  readonly onTurnedAway: (service: string, method: string, code: string, reason: string) => void;
  /** Cuts the calls that are left when a stop takes too long. */
  readonly shutdownSignal: AbortSignal;
  readonly budget: InFlightBudget;
  /** How long a message may take to arrive over HTTP/2. */
  readonly requestTimeoutMs: number;
  /** Size of one message, also after decompression. */
  readonly messageBytesMax: number;
  /** Told of calls whose answer could not be written for another reason than a caller gone. */
  readonly onBroken: (method: string, error: unknown) => void;
}

/** Services that answer whatever state the server is in. */
const ALWAYS_SERVED = /^grpc\.(health|reflection)\./;

async function* counted(
  body: AsyncIterable<Uint8Array>,
  take: (bytes: number) => void,
): AsyncIterable<Uint8Array> {
  for await (const chunk of body) {
    take(chunk.byteLength);
    yield chunk;
  }
}

async function* whileThereIsRoom(
  body: AsyncIterable<Uint8Array>,
  budget: InFlightBudget,
): AsyncIterable<Uint8Array> {
  for await (const chunk of body) {
    await budget.room();
    yield chunk;
  }
}

/** Counts bytes as held until the call is over. */
function holdBytes(bytes: number, response: NodeResponse, budget: InFlightBudget): void {
  const ending: EventEmitter = response;
  budget.take(bytes);
  ending.once("close", () => budget.release(bytes));
}

function isOneMessage({ method }: UniversalHandler): boolean {
  return method.methodKind === "unary" || method.methodKind === "server_streaming";
}

/**
 * The body of a call with its bytes accounted for: a message is held until its call is answered; a
 * stream of messages is read only while there is room, because its bytes come and go with each one.
 */
function accountedBody(
  handler: UniversalHandler,
  body: AsyncIterable<Uint8Array>,
  response: NodeResponse,
  budget: InFlightBudget,
): AsyncIterable<Uint8Array> {
  if (!isOneMessage(handler)) return whileThereIsRoom(body, budget);
  let heldBytes = 0;
  let isOver = false;
  const ending: EventEmitter = response;
  ending.once("close", () => {
    isOver = true;
    budget.release(heldBytes);
  });
  return counted(body, (bytes) => {
    if (isOver) return;
    heldBytes += bytes;
    budget.take(bytes);
  });
}

/** What the signal of a call says after its end; made once, because its trace is dear. */
const CALL_OVER = new DOMException("The call is over", "AbortError");

/** The context of a call as the protocol library makes it: it hears of the call's end. */
type EndingContext = HandlerContext & Partial<Pick<CallContext, "abort">>;

/**
 * Gives errors that the library finds itself, and that no interceptor sees, their reason. It tells
 * the context of an error before it writes it out.
 */
function nameReason(context: EndingContext, onTurnedAway: RpcHandlerOptions["onTurnedAway"]): void {
  const { abort, service, method } = context;
  if (abort === undefined) return;
  context.abort = (error) => {
    if (error instanceof ConnectError && error.details.length === 0 && !isTransportError(error)) {
      const refusal = wireRefusalOf(error);
      const { code, rawMessage, details } = connectErrorOf(refusal);
      Object.assign(error, { code, rawMessage, details });
      onTurnedAway(service.typeName, method.name, codeName(code), refusal.reason);
    }
    abort(error ?? CALL_OVER);
  };
}

function gateOf(options: RpcHandlerOptions): (context: HandlerContext) => void {
  return (context) => {
    nameReason(context, options.onTurnedAway);
    const { service, method } = context;
    if (ALWAYS_SERVED.test(service.typeName)) return;
    const refusal = options.gate();
    if (!refusal) return;
    const error = connectErrorOf(wireRefusalOf(new RefusedError(refusal)));
    options.onTurnedAway(service.typeName, method.name, codeName(error.code), refusal.reason);
    throw error;
  };
}

function answerBadRequest(response: NodeResponse): void {
  const body: Writable = response;
  response.statusCode = 400;
  response.setHeader("content-type", "application/json");
  body.end('{"code":"invalid_argument","message":"The head of the request cannot be read"}');
}

/** Ends an answer that cannot be completed; one that is on its way is cut, so that it shows. */
function breakOff(response: NodeResponse): void {
  const body: Writable = response;
  if (response.headersSent) {
    body.destroy();
    return;
  }
  response.statusCode = 500;
  body.end();
}

/** Ends a call whose message stays incomplete. */
function lateErrorOf(
  { requestTimeoutMs, onTurnedAway }: RpcHandlerOptions,
  { parent, name }: DescMethod,
): ConnectError {
  const message = `A message of the request did not arrive whole within ${requestTimeoutMs} ms`;
  const late = new ConnectError(message, Code.DeadlineExceeded);
  const metadata = { limitMs: `${requestTimeoutMs}` };
  const refusal = { ...wireRefusalOf(late), message, metadata };
  onTurnedAway(parent.typeName, name, codeName(refusal.code), refusal.reason);
  return connectErrorOf(refusal);
}

/** The body of a call over HTTP/2, which ends with an error when a message stays incomplete. */
function punctualBody(
  handler: UniversalHandler,
  body: AsyncIterable<Uint8Array>,
  options: RpcHandlerOptions,
): AsyncIterable<Uint8Array> {
  const lateError = (): ConnectError => lateErrorOf(options, handler.method);
  const terms = { timeoutMs: options.requestTimeoutMs, lateError };
  return isOneMessage(handler) ? wholeInTime(body, terms) : messagesInTime(body, terms);
}

/**
 * The calls that are not over, cut when the server cannot wait for them any longer; the answer
 * takes a call out again. The library would link each of them to the signal itself. A listener that
 * left keeps its link to those that came after it, so one among the old objects kept all later
 * calls until a full collection.
 */
function makeOpenCalls(shutdownSignal: AbortSignal): (call: AbortController) => () => void {
  const open = makeBag<AbortController>();
  shutdownSignal.addEventListener("abort", () => {
    for (const call of open.members()) call.abort(shutdownSignal.reason);
  });
  return (call) => {
    if (shutdownSignal.aborted) call.abort(shutdownSignal.reason);
    return open.add(call);
  };
}

/** The request as the library takes it, with the signal of the call. Throws on a missing host. */
function incomingRequest(
  short: ShortExchange | undefined,
  request: NodeRequest,
  response: NodeResponse,
  call: AbortController,
): UniversalServerRequest {
  if (short) {
    abortWhenLost(short.response, call);
    return shortRequestOf(short, call.signal);
  }
  const incoming = universalRequestFromNodeRequest(request, response, undefined, undefined);
  const { signal } = incoming;
  signal.addEventListener("abort", () => call.abort(signal.reason));
  return { ...incoming, signal: call.signal };
}

/** Makes the handler of all calls. */
export function makeRpcHandler(options: RpcHandlerOptions): NodeRequestHandler {
  const { budget, messageBytesMax } = options;
  const keepOpen = makeOpenCalls(options.shutdownSignal);
  const common = {
    ...options,
    keepOpen,
    nameReason: (context: CallContext) => nameReason(context, options.onTurnedAway),
    lateError: (method: DescMethod) => lateErrorOf(options, method),
  };
  const router = createConnectRouter({
    readMaxBytes: messageBytesMax,
    writeMaxBytes: messageBytesMax,
    acceptCompression: COMPRESSIONS,
    compressMinBytes: COMPRESSED_FROM_BYTES,
    requestGate: gateOf(options),
  });
  const shortWays = new Map(options.shortWays);
  options.routes((service, implementation, callOptions) => {
    router.service(service, implementation, callOptions);
    const { methods } = createServiceImplSpec(service, implementation);
    for (const spec of Object.values(methods)) {
      if (spec.kind !== "unary") continue;
      const path = `/${service.typeName}/${spec.method.name}`;
      shortWays.set(path, makeUnaryExchange(spec, callOptions, common));
    }
  });
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  async function serve(
    handler: UniversalHandler,
    request: NodeRequest,
    response: NodeResponse,
  ): Promise<void> {
    const isUnary = handler.method.methodKind === "unary";
    const short = isUnary ? shortExchangeOf(request, response) : undefined;
    const call = new AbortController();
    let incoming: UniversalServerRequest;
    try {
      incoming = incomingRequest(short, request, response, call);
    } catch {
      // Only a missing or impossible host gets here.
      answerBadRequest(response);
      return;
    }
    forgetFarDeadline(incoming.header);
    const ending: EventEmitter = response;
    ending.once("close", keepOpen(call));
    try {
      if (short) {
        holdBytes(short.bodyBytes, response, budget);
        await sendAtOnce(await handler(incoming), short.response);
        return;
      }
      const given = incoming.body as AsyncIterable<Uint8Array>;
      const isHttp2 = request instanceof Http2ServerRequest;
      if (isHttp2) closeWithAnswer(request);
      const punctual = isHttp2 ? punctualBody(handler, given, options) : given;
      const body = accountedBody(handler, punctual, response, budget);
      await universalResponseToNodeResponse(await handler({ ...incoming, body }), response);
    } catch (error) {
      breakOff(response);
      if (ConnectError.from(error).code === Code.Aborted) return;
      options.onBroken(`${handler.service.typeName}/${handler.method.name}`, error);
    }
  }

  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const handler = handlers.get(path);
    if (!handler) return false;
    const serveShort = shortWays.get(path);
    if (serveShort && options.gate() === undefined && serveShort(request, response)) return true;
    void serve(handler, request, response);
    return true;
  };
}
