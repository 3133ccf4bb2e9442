/**
 * The one port: accepts connections, with TLS when there is a certificate, finds out what each one
 * speaks and hands it to the right server. A connection can do nothing to the others: its errors
 * end here, it must say something in time, and there are only so many.
 */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import {
  type HttpServerOptions,
  makeHttp1SocketServer,
  makeHttp2SocketServer,
} from "./http-servers.ts";
import { sniffProtocol } from "./protocol-sniffer.ts";

/** Certificate chain and private key, both PEM. */
export interface TlsFiles {
  readonly certificate: Buffer;
  readonly key: Buffer;
}

/** Why a connection was closed unserved. */
export type RefusedConnection = "limit" | "malformed" | "silent" | "timeout" | "tls";

/** Where and how to listen. */
export interface ListenerOptions extends Omit<HttpServerOptions, "onRefused"> {
  readonly host: string;
  readonly port: number;
  readonly connectionsMax: number;
  readonly tls?: TlsFiles;
  readonly onRefused: (cause: RefusedConnection) => void;
}

/** An open port. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  readonly connectionCount: () => number;
  /** Takes no new connections and closes the open ones as their calls end. */
  readonly drain: () => void;
  /** Resolves when the last connection has closed. */
  readonly drained: () => Promise<void>;
  /** Closes everything at once. */
  readonly close: () => Promise<void>;
}

const KEEP_ALIVE_PROBE_MS = 30_000;

function makeAcceptor(options: ListenerOptions, onSocket: (socket: Socket) => void): Server {
  const { tls, headerTimeoutMs, onRefused } = options;
  const socketOptions = {
    allowHalfOpen: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
    noDelay: true,
  };
  if (!tls) return createServer(socketOptions, onSocket);
  const { certificate, key } = tls;
  const server = createTlsServer({
    ...socketOptions,
    cert: certificate,
    key,
    minVersion: "TLSv1.2",
    handshakeTimeout: headerTimeoutMs,
    ALPNProtocols: ["h2", "http/1.1"],
  });
  server.on("secureConnection", (socket: TLSSocket) => onSocket(socket));
  server.on("tlsClientError", () => onRefused("tls"));
  return server;
}

function opened(server: Server, options: ListenerOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: options.host, port: options.port }, () => {
      server.off("error", reject);
      const address = server.address();
      if (address === null || typeof address === "string") {
        reject(new RangeError("a TCP port has an address"));
        return;
      }
      resolve(address);
    });
  });
}

/** Opens the port. Rejects with the system's error when it cannot be had. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { onRefused, headerTimeoutMs } = options;
  const http1 = makeHttp1SocketServer(options);
  const http2 = makeHttp2SocketServer(options);
  const sockets = new Set<Socket>();
  /** Those that have not said yet what they speak. */
  const undecided = new Set<Socket>();
  let onEmpty: () => void = () => undefined;

  function serve(socket: Socket): void {
    sockets.add(socket);
    undecided.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      sockets.delete(socket);
      if (sockets.size === 0) onEmpty();
    });
    sniffProtocol(socket, headerTimeoutMs, (protocol) => {
      undecided.delete(socket);
      if (protocol === "http2") http2.take(socket);
      else if (protocol === "http1") http1.take(socket);
      else {
        if (!socket.destroyed && !socket.readableEnded) onRefused("silent");
        socket.destroy();
      }
    });
  }

  const server = makeAcceptor(options, serve);
  server.maxConnections = options.connectionsMax;
  server.on("drop", () => onRefused("limit"));
  const { address, port } = await opened(server, options);
  let draining = false;

  function drain(): void {
    if (draining) return;
    draining = true;
    server.close(() => undefined);
    http1.drain();
    http2.drain();
    for (const socket of undecided) socket.destroy();
  }

  function drained(): Promise<void> {
    if (sockets.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      onEmpty = resolve;
    });
  }

  return {
    host: address,
    port,
    connectionCount: () => sockets.size,
    drain,
    drained,
    close: async () => {
      drain();
      const closed = drained();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
