/**
 * Node's two HTTP servers, neither of which listens itself: they are handed sockets. Owns their
 * limits and timeouts, what they answer to requests that cannot be parsed, and how they end.
 */
import {
  createServer as createHttp1Server,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import {
  constants,
  createServer as createHttp2Server,
  type Http2Server,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import { makeBag } from "../rpc/bag.ts";
import type { NodeRequest, NodeResponse } from "../rpc/node-request.ts";

/** Limits of the servers. */
export interface HttpServerOptions {
  readonly headerTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly connectionStreamsMax: number;
  readonly handle: (request: NodeRequest, response: NodeResponse) => void;
  /** A connection was closed because of what it sent, or did not send. */
  readonly onRefused: (cause: "malformed" | "timeout") => void;
}

/** A server that takes sockets. */
export interface SocketServer {
  readonly take: (socket: Socket) => void;
  /** Lets calls in flight end and closes each connection once it has none. */
  readonly drain: () => void;
}

const NO_ERROR = constants.NGHTTP2_NO_ERROR;
const HEADER_BYTES_MAX = 32 * 1024;
const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
const SESSION_MEMORY_MIB = 64;
const FAREWELL_MS = 1_000;
/** How long calls may still arrive on a connection that was told of the end. */
const LATE_CALLS_MS = 100;
const STREAM_ID_MAX = 2 ** 31 - 1;

const STATUS_BY_CODE: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
};

/** Answers a request that could not be parsed and closes the connection politely. */
function refuse(socket: Socket, code: string): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const status = STATUS_BY_CODE[code] ?? "400 Bad Request";
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  // What still arrives is read and dropped, so that the answer is not lost to a reset.
  socket.resume();
  socket.setTimeout(FAREWELL_MS, () => socket.destroy());
}

function makeHttp1(options: HttpServerOptions, handle: RequestListener): Server {
  const { headerTimeoutMs, requestTimeoutMs, idleTimeoutMs, onRefused } = options;
  const server = createHttp1Server(
    {
      headersTimeout: headerTimeoutMs,
      // A whole request, body included, must be here by then; an answer may take any time.
      requestTimeout: Math.max(requestTimeoutMs, headerTimeoutMs),
      keepAliveTimeout: idleTimeoutMs,
      connectionsCheckingInterval: Math.min(1_000, headerTimeoutMs),
      maxHeaderSize: HEADER_BYTES_MAX,
    },
    handle,
  );
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    const code = error.code ?? "";
    if (code !== "ECONNRESET" && code !== "EPIPE") {
      onRefused(code === "ERR_HTTP_REQUEST_TIMEOUT" ? "timeout" : "malformed");
    }
    refuse(socket, code);
  });
  // A server that only gets sockets handed over starts to enforce its timeouts at this event.
  server.emit("listening");
  return server;
}

/** The HTTP/1.1 server. */
export function makeHttp1SocketServer(options: HttpServerOptions): SocketServer {
  const answering = makeBag<ServerResponse>();
  let draining = false;

  /** Has the connection closed with the answer, where that can still be said. */
  function announceEnd(response: ServerResponse): void {
    if (!response.headersSent) response.setHeader("connection", "close");
  }

  const server = makeHttp1(options, (request, response) => {
    const answered = answering.add(response);
    response.once("close", () => {
      answered();
      if (draining) setImmediate(() => server.closeIdleConnections());
    });
    if (draining) announceEnd(response);
    options.handle(request, response);
  });
  return {
    take: (socket) => {
      server.emit("connection", socket);
    },
    drain: () => {
      draining = true;
      for (const response of answering.members()) announceEnd(response);
      // Stops the timers and closes idle connections; there is no listening socket to be closed.
      server.close(() => undefined);
    },
  };
}

function makeHttp2(options: HttpServerOptions): Http2Server {
  return createHttp2Server(
    {
      maxSessionMemory: SESSION_MEMORY_MIB,
      settings: {
        initialWindowSize: STREAM_WINDOW_BYTES,
        maxConcurrentStreams: options.connectionStreamsMax,
        maxHeaderListSize: HEADER_BYTES_MAX,
      },
    },
    options.handle,
  );
}

/** The cleartext HTTP/2 server; TLS, where there is any, is done by whoever hands sockets over. */
export function makeHttp2SocketServer(options: HttpServerOptions): SocketServer {
  const { idleTimeoutMs, onRefused } = options;
  const server = makeHttp2(options);
  const sessions = new Set<ServerHttp2Session>();
  const openStreams = new WeakMap<ServerHttp2Session, number>();
  let draining = false;

  server.on("session", (session) => {
    sessions.add(session);
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    session.on("stream", (stream) => {
      openStreams.set(session, (openStreams.get(session) ?? 0) + 1);
      stream.on("close", () => openStreams.set(session, (openStreams.get(session) ?? 1) - 1));
      // A stream that is reset ends with an error event; its request handler hears of it, too.
      stream.on("error", () => undefined);
    });
    session.setTimeout(idleTimeoutMs, () => {
      if ((openStreams.get(session) ?? 0) === 0) session.close();
    });
    session.on("error", () => session.destroy());
    session.on("close", () => sessions.delete(session));
    if (draining) session.close();
  });
  server.on("sessionError", () => onRefused("malformed"));
  return {
    take: (socket) => {
      // Unlike HTTP/1.1, a client that closes its side of HTTP/2 waits for nothing any more.
      socket.allowHalfOpen = false;
      server.emit("connection", socket);
    },
    drain: () => {
      draining = true;
      // First only the word to open nothing new, so that calls under way to here still arrive.
      for (const session of sessions) session.goaway(NO_ERROR, STREAM_ID_MAX);
      setTimeout(() => {
        for (const session of sessions) session.close();
      }, LATE_CALLS_MS);
    },
  };
}
