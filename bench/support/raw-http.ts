/**
 * A load generator that costs as little as possible, because it shares the machine with what it
 * measures: prepared HTTP/1.1 requests over plain sockets, one in flight per connection.
 */
import { connect, type Socket } from "node:net";

/** What to send. */
export interface RawLoad {
  readonly port: number;
  readonly path: string;
  readonly contentType: string;
  readonly connections: number;
  readonly durationMs: number;
  /** The body of the next request; `undefined` ends the load before its time. */
  readonly nextBody: () => Buffer | string | undefined;
}

/** What came of it. */
export interface RawResult {
  readonly requests: number;
  readonly failures: number;
  readonly elapsedMs: number;
  readonly latenciesMs: readonly number[];
}

const HEAD_END = Buffer.from("\r\n\r\n");

/** The bytes of one complete response at the start of `bytes`; 0 when it is not complete yet. */
function responseLength(bytes: Buffer): number {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return 0;
  const head = bytes.toString("latin1", 0, headEnd).toLowerCase();
  const bodyStart = headEnd + HEAD_END.length;
  const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1];
  if (length !== undefined) {
    const end = bodyStart + Number(length);
    return bytes.length >= end ? end : 0;
  }
  const chunksEnd = bytes.indexOf("0\r\n\r\n", bodyStart, "latin1");
  return chunksEnd < 0 ? 0 : chunksEnd + 5;
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true }, () => resolve(socket));
    socket.once("error", reject);
  });
}

/** Keeps every connection busy for the duration. */
export async function runRawLoad(load: RawLoad): Promise<RawResult> {
  const sockets = await Promise.all(
    Array.from({ length: load.connections }, () => open(load.port)),
  );
  const latenciesMs: number[] = [];
  let failures = 0;
  const startedMs = performance.now();
  const endMs = startedMs + load.durationMs;

  function requestOf(body: Buffer | string): string {
    const length = Buffer.byteLength(body);
    return (
      `POST ${load.path} HTTP/1.1\r\nhost: bench\r\ncontent-type: ${load.contentType}\r\n` +
      `connect-protocol-version: 1\r\ncontent-length: ${length}\r\n\r\n`
    );
  }

  function drive(socket: Socket): Promise<void> {
    return new Promise((resolve) => {
      let received: Buffer = Buffer.alloc(0);
      let sentMs = 0;
      const sendNext = (): void => {
        const body = performance.now() < endMs ? load.nextBody() : undefined;
        if (body === undefined) {
          socket.destroy();
          resolve();
          return;
        }
        sentMs = performance.now();
        socket.cork();
        socket.write(requestOf(body), "latin1");
        socket.write(body);
        socket.uncork();
      };
      socket.on("error", () => {
        failures += 1;
        resolve();
      });
      socket.on("data", (chunk) => {
        received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
        const length = responseLength(received);
        if (length === 0) return;
        if (!received.subarray(0, 12).toString("latin1").endsWith(" 200")) failures += 1;
        received = received.subarray(length);
        latenciesMs.push(performance.now() - sentMs);
        sendNext();
      });
      sendNext();
    });
  }

  await Promise.all(sockets.map(drive));
  const elapsedMs = performance.now() - startedMs;
  return { requests: latenciesMs.length, failures, elapsedMs, latenciesMs };
}
