// Serves MongoDB's wire protocol on a Unix socket in front of an engine that lives in this process.
//
// It only frames: every message goes to the engine as it came, every answer goes back under the
// header its request calls for. Messages of one connection are answered one after the other, as
// drivers expect; connections run side by side. It also counts connections, because the host lives
// as long as somebody is connected.
import { chmod } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import type { AwaitingEngine } from "./awaiting-engine.ts";
import { framedAnswer, makeMessageAssembler } from "./wire-messages.ts";

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
  readonly engine: AwaitingEngine;
  readonly socketPath: string;
  readonly onConnectionCount: (count: number) => void;
}

/** Listens on `socketPath`, readable and writable by this user only. */
export async function listenOnSocket(options: WireServerOptions): Promise<WireServer> {
  const connections = new Set<WireConnection>();
  const server = createServer((socket) => {
    const connection = new WireConnection(socket, options.engine);
    connections.add(connection);
    options.onConnectionCount(connections.size);
    socket.on("close", () => {
      connections.delete(connection);
      options.onConnectionCount(connections.size);
    });
  });
  await listening(server, options.socketPath);
  await chmod(options.socketPath, 0o600);

  return {
    connectionCount: () => connections.size,
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      for (const connection of connections) {
        connection.finish();
      }
      const cutAll = () => {
        for (const connection of connections) {
          connection.cut();
        }
      };
      const cut = setTimeout(cutAll, graceMs);
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

/** Owns one client's socket: answers its messages in order until either side ends. */
class WireConnection {
  readonly #socket: Socket;
  readonly #engine: AwaitingEngine;
  readonly #messages = makeMessageAssembler();
  /** Aborted when nobody waits for an answer that is held back. */
  readonly #ending = new AbortController();
  #isAnswering = false;
  #answersSent = 0;

  constructor(socket: Socket, engine: AwaitingEngine) {
    this.#socket = socket;
    this.#engine = engine;
    socket.on("error", () => this.cut());
    socket.on("close", () => this.#ending.abort());
    socket.on("data", (chunk) => {
      this.#messages.push(chunk);
      if (!this.#isAnswering) {
        // An engine or framing failure is the connection's own: the driver sees it drop.
        this.#answerAll().catch(() => this.cut());
      }
    });
  }

  /** Ends after the answer that is being worked on, at once when there is none. */
  finish(): void {
    this.#ending.abort();
    if (!this.#isAnswering) {
      this.cut();
    }
  }

  cut(): void {
    this.#socket.destroy();
  }

  async #answerAll(): Promise<void> {
    this.#isAnswering = true;
    let message = this.#messages.take();
    while (message !== undefined) {
      const answer = await this.#engine.roundTrip(message, this.#ending.signal);
      if (!answer.moreToCome && !this.#socket.destroyed) {
        this.#answersSent += 1;
        this.#send(framedAnswer(answer, this.#answersSent));
      }
      if (this.#ending.signal.aborted) {
        this.#socket.destroySoon();
        return;
      }
      message = this.#messages.take();
    }
    this.#isAnswering = false;
  }

  #send(pieces: readonly Buffer[]): void {
    for (const piece of pieces) {
      this.#socket.write(piece);
    }
  }
}
