/**
 * Messages that begin to arrive and never end. Over HTTP/1.1 Node itself sees to it that a request
 * arrives in time; over HTTP/2 nobody does, and each such call would be held for ever. A request of
 * one message has its time from the beginning; in a stream every message has it from its first
 * byte, and the silence between two of them may take as long as it likes.
 */
import { constants, type Http2ServerRequest } from "node:http2";

/** How long messages may take, and what happens to those that take longer. */
export interface ArrivalTerms {
  readonly timeoutMs: number;
  /** Makes the error that the call ends with. */
  readonly lateError: () => Error;
}

/** Flags and length in front of every message of a stream. */
const ENVELOPE_BYTES = 5;

/** The time that is left for a message, which runs only while somebody waits for it. */
interface Patience {
  /** The piece, or a rejection when the time is over before it comes. */
  readonly wait: <Piece>(piece: Promise<Piece>) => Promise<Piece>;
  /** Gives the next message its time. */
  readonly renew: () => void;
}

function makePatience({ timeoutMs, lateError }: ArrivalTerms): Patience {
  let leftMs = timeoutMs;
  return {
    wait: async (piece) => {
      const { promise: late, reject } = Promise.withResolvers<never>();
      const startedMs = performance.now();
      const timer = setTimeout(() => reject(lateError()), leftMs);
      try {
        return await Promise.race([piece, late]);
      } finally {
        clearTimeout(timer);
        leftMs = Math.max(0, leftMs - (performance.now() - startedMs));
      }
    },
    renew: () => {
      leftMs = timeoutMs;
    },
  };
}

/** The pieces of a body that is one message. */
export async function* wholeInTime(
  body: AsyncIterable<Uint8Array>,
  terms: ArrivalTerms,
): AsyncGenerator<Uint8Array> {
  const pieces = body[Symbol.asyncIterator]();
  const patience = makePatience(terms);
  for (;;) {
    const step = await patience.wait(pieces.next());
    if (step.done === true) return;
    yield step.value;
  }
}

/** How a piece ends: with a whole message, or within one that it began or went on with. */
type PieceEnd = "whole" | "begun" | "going_on";

/** Follows the messages of a stream. */
function makeEnvelopeTracker(): (piece: Uint8Array) => PieceEnd {
  const head = Buffer.alloc(ENVELOPE_BYTES);
  let headBytes = 0;
  let missingBytes = 0;
  return (piece) => {
    let isBegun = headBytes === 0 && missingBytes === 0;
    for (let at = 0; at < piece.byteLength; ) {
      if (missingBytes > 0) {
        const taken = Math.min(missingBytes, piece.byteLength - at);
        missingBytes -= taken;
        at += taken;
        if (missingBytes === 0) isBegun = true;
        continue;
      }
      head[headBytes] = piece[at] ?? 0;
      headBytes += 1;
      at += 1;
      if (headBytes < ENVELOPE_BYTES) continue;
      headBytes = 0;
      missingBytes = head.readUInt32BE(1);
    }
    if (headBytes === 0 && missingBytes === 0) return "whole";
    return isBegun ? "begun" : "going_on";
  };
}

/** The pieces of a body of any number of messages. */
export async function* messagesInTime(
  body: AsyncIterable<Uint8Array>,
  terms: ArrivalTerms,
): AsyncGenerator<Uint8Array> {
  const pieces = body[Symbol.asyncIterator]();
  const endOf = makeEnvelopeTracker();
  const patience = makePatience(terms);
  for (let end: PieceEnd = "whole"; ; ) {
    const next = pieces.next();
    const step = await (end === "whole" ? next : patience.wait(next));
    if (step.done === true) return;
    end = endOf(step.value);
    if (end !== "going_on") patience.renew();
    yield step.value;
  }
}

/**
 * Has the stream of a call closed with its answer, also when the caller never ends its own side: a
 * call that was refused before its message arrived would stay open for ever.
 */
export function closeWithAnswer({ stream }: Http2ServerRequest): void {
  // The last thing that is sent; once it is on its way, nothing more is read.
  stream.once("wantTrailers", () => {
    setImmediate(() => {
      if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
    });
  });
}
