/**
 * The frames of gRPC: a flag byte, the length in four bytes, the message. Takes them out of the
 * chunks that a socket brings, and puts many of them into one piece for a single write.
 */
import { Code, ConnectError } from "@connectrpc/connect";

const PREFIX_BYTES = 5;
const COMPRESSED = 1;

/** Takes messages out of chunks. */
export interface FrameSplitter {
  /**
   * The messages that a chunk completes, as windows on it where that is possible. Throws what the
   * protocol library throws for frames that are too large or of another kind.
   */
  readonly take: (chunk: Uint8Array) => Generator<Uint8Array>;
  /** True while the start of a message waits for its end. */
  readonly isWithin: () => boolean;
}

function assertReadable(flags: number, length: number, messageBytesMax: number): void {
  if ((flags & COMPRESSED) !== 0) {
    const message = "received compressed envelope, but do not know how to decompress";
    throw new ConnectError(message, Code.Internal);
  }
  if (length <= messageBytesMax) return;
  const limit = `configured readMaxBytes ${messageBytesMax}`;
  throw new ConnectError(`message size ${length} is larger than ${limit}`, Code.ResourceExhausted);
}

/** Makes the splitter of one stream. */
export function makeFrameSplitter(messageBytesMax: number): FrameSplitter {
  /** Pieces of a frame that is not whole yet; joined once, when its last byte is there. */
  let pieces: Uint8Array[] = [];
  let heldBytes = 0;
  let neededBytes = PREFIX_BYTES;

  function* take(chunk: Uint8Array): Generator<Uint8Array> {
    pieces.push(chunk);
    heldBytes += chunk.length;
    if (heldBytes < neededBytes) return;
    const bytes =
      pieces.length === 1
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
        : Buffer.concat(pieces);
    let offset = 0;
    neededBytes = PREFIX_BYTES;
    while (bytes.length - offset >= PREFIX_BYTES) {
      const length = bytes.readUInt32BE(offset + 1);
      assertReadable(bytes.readUInt8(offset), length, messageBytesMax);
      neededBytes = PREFIX_BYTES + length;
      if (bytes.length - offset < neededBytes) break;
      yield bytes.subarray(offset + PREFIX_BYTES, offset + neededBytes);
      offset += neededBytes;
      neededBytes = PREFIX_BYTES;
    }
    heldBytes = bytes.length - offset;
    pieces = heldBytes === 0 ? [] : [bytes.subarray(offset)];
  }

  return { take, isWithin: () => heldBytes > 0 };
}

/** One piece that holds each message in a frame of its own. */
export function joinFrames(messages: readonly Uint8Array[]): Buffer {
  let size = 0;
  for (const message of messages) size += PREFIX_BYTES + message.length;
  const joined = Buffer.allocUnsafe(size);
  let offset = 0;
  for (const message of messages) {
    joined.writeUInt8(0, offset);
    joined.writeUInt32BE(message.length, offset + 1);
    joined.set(message, offset + PREFIX_BYTES);
    offset += PREFIX_BYTES + message.length;
  }
  return joined;
}
