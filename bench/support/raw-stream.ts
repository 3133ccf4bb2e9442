/**
 * Prepared gRPC messages over bidirectional HTTP/2 streams, with the flow control of the
 * server.
 */
import { once } from "node:events";
import { connect } from "node:http2";

/** What to send: every stream its own prepared messages. */
export interface StreamLoad {
  readonly port: number;
  readonly path: string;
  /** Serialized messages per stream. */
  readonly streams: readonly (readonly Uint8Array[])[];
}

/** What came of it. */
export interface StreamResult {
  readonly responses: number;
  readonly elapsedMs: number;
}

const PREFIX_BYTES = 5;
const CHUNK_BYTES = 64 * 1024;

/** Chunks of about 64 KiB of length-prefixed messages. */
function framesOf(messages: readonly Uint8Array[]): readonly Buffer[] {
  const chunks: Buffer[] = [];
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for (const message of messages) {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(message.length, 1);
    parts.push(prefix, message);
    bytes += PREFIX_BYTES + message.length;
    if (bytes < CHUNK_BYTES) continue;
    chunks.push(Buffer.concat(parts));
    parts = [];
    bytes = 0;
  }
  chunks.push(Buffer.concat(parts));
  return chunks;
}

/** Counts complete messages in a sequence of chunks. */
function makeCounter(): (chunk: Buffer) => number {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let messages = 0;
    while (bytes.length >= PREFIX_BYTES) {
      const end = PREFIX_BYTES + bytes.readUInt32BE(1);
      if (bytes.length < end) break;
      bytes = bytes.subarray(end);
      messages += 1;
    }
    rest = bytes;
    return messages;
  };
}

/** Sends everything and waits for one response per message. */
export async function runStreamLoad(load: StreamLoad): Promise<StreamResult> {
  const prepared = load.streams.map(framesOf);
  const session = connect(`http://127.0.0.1:${load.port}`, {
    settings: { initialWindowSize: 4 * 1024 * 1024 },
  });
  await once(session, "connect");
  session.setLocalWindowSize(16 * 1024 * 1024);
  const startedMs = performance.now();

  async function drive(chunks: readonly Buffer[]): Promise<number> {
    const stream = session.request({
      ":method": "POST",
      ":path": load.path,
      "content-type": "application/grpc+proto",
      te: "trailers",
    });
    const count = makeCounter();
    let responses = 0;
    const ended = new Promise<void>((resolve, reject) => {
      stream.on("data", (chunk: Buffer) => {
        responses += count(chunk);
      });
      stream.on("end", resolve);
      stream.on("error", reject);
    });
    for (const chunk of chunks) {
      if (stream.write(chunk)) continue;
      await new Promise<void>((resolve) => stream.once("drain", resolve));
    }
    stream.end();
    await ended;
    return responses;
  }

  const counts = await Promise.all(prepared.map(drive));
  const elapsedMs = performance.now() - startedMs;
  session.close();
  return { responses: counts.reduce((sum, count) => sum + count, 0), elapsedMs };
}
