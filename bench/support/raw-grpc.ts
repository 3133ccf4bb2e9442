/**
 * Unary gRPC calls as generated stubs make them, one in flight per connection. Costs the generator
 * about as much as the server spends on HTTP/2.
 */
import { once } from "node:events";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { joinFrames } from "../../src/rpc/grpc-frames.ts";
import type { RawResult } from "./raw-http.ts";

/** What to send. */
export interface GrpcLoad {
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly durationMs: number;
  /** The serialized message of the next call. */
  readonly nextMessage: () => Uint8Array;
}

const OK = "0";

async function open(port: number): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`);
  await once(session, "connect");
  return session;
}

/** Sends one message and waits for the end of the call; answers its status. */
function call(session: ClientHttp2Session, path: string, message: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc+proto",
      te: "trailers",
    });
    let status = "none";
    stream.on("trailers", (trailers: IncomingHttpHeaders) => {
      status = String(trailers["grpc-status"]);
    });
    stream.resume();
    stream.once("error", () => resolve("broken"));
    stream.once("end", () => resolve(status));
    stream.end(joinFrames([message]));
  });
}

/** Keeps every connection busy for the duration. */
export async function runGrpcLoad(load: GrpcLoad): Promise<RawResult> {
  const { port, path, connections, durationMs, nextMessage } = load;
  const sessions = await Promise.all(Array.from({ length: connections }, () => open(port)));
  const latenciesMs: number[] = [];
  let failures = 0;
  const startedMs = performance.now();

  async function drive(session: ClientHttp2Session): Promise<void> {
    for (let sentMs = startedMs; sentMs < startedMs + durationMs; sentMs = performance.now()) {
      const status = await call(session, path, nextMessage());
      if (status !== OK) failures += 1;
      latenciesMs.push(performance.now() - sentMs);
    }
    session.destroy();
  }

  await Promise.all(sessions.map(drive));
  const elapsedMs = performance.now() - startedMs;
  return { requests: latenciesMs.length, failures, elapsedMs, latenciesMs };
}
