// Serves MongoDB's wire protocol on a Unix socket in front of an engine that lives in this process.
//
// It only frames: every message goes to the engine as it came, every answer goes back under the
// header its request calls for. Messages of one connection are answered one after the other, as
// drivers expect; connections run side by side. It also counts connections, because the host lives
// as long as somebody is connected.
import { chmod } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";

/** What the wire server needs from the database engine: one answer per message. */
export interface WireEngine {
  roundTrip(message: Buffer): Promise<WireAnswer>;
}

/** The engine's answer to one message, with what is needed to frame it. */
export interface WireAnswer {
  readonly requestId: number;
  /** The client asked for no answer. */
  readonly moreToCome: boolean;
  /** The request was an OP_QUERY (an old handshake), which is answered by an OP_REPLY. */
  readonly legacy: boolean;
  readonly response: Buffer;
}

/** A listening wire server. */
export interface WireServer {
  readonly connectionCount: () => number;
  /**
   * Accepts nothing more, lets commands in flight be answered for at most `graceMs`, then cuts
   * what is left. The socket file is gone when this returns.
   */
  readonly close: (graceMs: number) => Promise<void>;
}

/** Where to listen and whom to tell when the number of connections changes. */
export interface WireServerOptions {
  readonly engine: WireEngine;
  readonly socketPath: string;
  readonly onConnectionCount: (count: number) => void;
}

const headerBytes = 16;
const messageBytesMax = 48_000_000;
const opReply = 1;
const opMessage = 2013;

/** Listens on `socketPath`, readable and writable by this user only. */
export async function listenOnSocket(options: WireServerOptions): Promise<WireServer> {
  const connections = new Map<Socket, { isBusy: boolean }>();
  let isClosing = false;

  const server = createServer((socket) => {
    const connection = { isBusy: false };
    connections.set(socket, connection);
    options.onConnectionCount(connections.size);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      connections.delete(socket);
      options.onConnectionCount(connections.size);
    });
    const shouldStop = () => isClosing;
    answerAll(options.engine, socket, connection, shouldStop).catch(() => socket.destroy());
  });
  await listening(server, options.socketPath);
  await chmod(options.socketPath, 0o600);

  return {
    connectionCount: () => connections.size,
    async close(graceMs) {
      isClosing = true;
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      for (const [socket, connection] of connections) {
        if (!connection.isBusy) {
          socket.destroy();
        }
      }
      const cut = setTimeout(() => {
        for (const socket of connections.keys()) {
          socket.destroy();
        }
      }, graceMs);
      await closed;
      clearTimeout(cut);
    },
  };
}

function listening(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function answerAll(
  engine: WireEngine,
  socket: Socket,
  connection: { isBusy: boolean },
  shouldStop: () => boolean,
): Promise<void> {
  let answersSent = 0;
  for await (const message of messagesOf(socket)) {
    connection.isBusy = true;
    const answer = await engine.roundTrip(message);
    if (!answer.moreToCome && !socket.destroyed) {
      answersSent += 1;
      await sendAnswer(socket, answer, answersSent);
    }
    connection.isBusy = false;
    if (shouldStop()) {
      socket.end();
      return;
    }
  }
}

/** Cuts the byte stream of a connection into whole messages; throws on a length no driver sends. */
export async function* messagesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let partsBytes = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    partsBytes += chunk.length;
    while (partsBytes >= headerBytes) {
      const head = joined(parts, headerBytes);
      const messageBytes = head.readInt32LE(0);
      if (messageBytes < headerBytes || messageBytes > messageBytesMax) {
        throw new RangeError(`a wire message of ${messageBytes} bytes is not possible`);
      }
      if (partsBytes < messageBytes) {
        break;
      }
      const whole = parts.length === 1 ? head : Buffer.concat(parts);
      yield whole.subarray(0, messageBytes);
      const rest = whole.subarray(messageBytes);
      parts = rest.length === 0 ? [] : [rest];
      partsBytes = rest.length;
    }
  }
}

/** The first part when it alone is long enough, else all parts as one; never empty. */
function joined(parts: Buffer[], bytesNeeded: number): Buffer {
  const first = parts[0];
  if (first !== undefined && first.length >= bytesNeeded) {
    return first;
  }
  return Buffer.concat(parts);
}

function sendAnswer(socket: Socket, answer: WireAnswer, answerId: number): Promise<void> {
  const frame = answer.legacy ? replyHeader() : messageHeader();
  frame.writeInt32LE(frame.length + answer.response.length, 0);
  frame.writeInt32LE(answerId, 4);
  frame.writeInt32LE(answer.requestId, 8);
  socket.cork();
  socket.write(frame);
  const isDrained = socket.write(answer.response);
  socket.uncork();
  if (isDrained) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("drain", done);
    socket.on("close", done);
  });
}

/** OP_MSG: no flags, then one section of kind 0 (the body). */
function messageHeader(): Buffer {
  const frame = Buffer.alloc(headerBytes + 5);
  frame.writeInt32LE(opMessage, 12);
  return frame;
}

/** OP_REPLY: no flags, no cursor, starting at 0, one document. */
function replyHeader(): Buffer {
  const frame = Buffer.alloc(headerBytes + 20);
  frame.writeInt32LE(opReply, 12);
  frame.writeInt32LE(1, headerBytes + 16);
  return frame;
}
