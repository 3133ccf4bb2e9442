/**
 * Messages that begin to arrive and never end. Over HTTP/1.1 Node itself sees to it that a request
 * arrives in time; over HTTP/2 nobody does, and each such call would be held for ever. A request of
 * one message has its time from the beginning; in a stream every message has it from its first
 * byte, and the silence between two of them may take as long as it likes.
 */

/** How long messages may take, and what happens to those that take longer. */
export interface ArrivalTerms {
  readonly timeoutMs: number;
  /** Makes the error that the call ends with. */
  readonly lateError: () => Error;
}

/** Flags and length in front of every message of a stream. */
const ENVELOPE_BYTES = 5;

interface Deadline {
  /** The piece, or a rejection when the time is over before it comes. */
  readonly before: <Piece>(piece: Promise<Piece>) => Promise<Piece>;
  readonly cancel: () => void;
}

function startDeadline({ timeoutMs, lateError }: ArrivalTerms): Deadline {
  const { promise: late, reject } = Promise.withResolvers<never>();
  late.catch(() => undefined);
  const timer = setTimeout(() => reject(lateError()), timeoutMs);
  return {
    before: (piece) => Promise.race([piece, late]),
    cancel: () => clearTimeout(timer),
  };
}

/** The pieces of a body that is one message. */
export async function* wholeInTime(
  body: AsyncIterable<Uint8Array>,
  terms: ArrivalTerms,
): AsyncGenerator<Uint8Array> {
  const pieces = body[Symbol.asyncIterator]();
  const deadline = startDeadline(terms);
  try {
    for (;;) {
      const step = await deadline.before(pieces.next());
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    deadline.cancel();
  }
}

/** Follows the messages of a stream; answers after each piece whether one is incomplete. */
function makeEnvelopeTracker(): (piece: Uint8Array) => boolean {
  const head = Buffer.alloc(ENVELOPE_BYTES);
  let headBytes = 0;
  let missingBytes = 0;
  return (piece) => {
    for (let at = 0; at < piece.byteLength; ) {
      if (missingBytes > 0) {
        const taken = Math.min(missingBytes, piece.byteLength - at);
        missingBytes -= taken;
        at += taken;
        continue;
      }
      head[headBytes] = piece[at] ?? 0;
      headBytes += 1;
      at += 1;
      if (headBytes < ENVELOPE_BYTES) continue;
      headBytes = 0;
      missingBytes = head.readUInt32BE(1);
    }
    return headBytes > 0 || missingBytes > 0;
  };
}

/** The pieces of a body of any number of messages. */
export async function* messagesInTime(
  body: AsyncIterable<Uint8Array>,
  terms: ArrivalTerms,
): AsyncGenerator<Uint8Array> {
  const pieces = body[Symbol.asyncIterator]();
  const isIncomplete = makeEnvelopeTracker();
  let deadline: Deadline | undefined;
  try {
    for (;;) {
      const next = pieces.next();
      const step = await (deadline?.before(next) ?? next);
      if (step.done === true) return;
      if (!isIncomplete(step.value)) {
        deadline?.cancel();
        deadline = undefined;
      } else {
        deadline ??= startDeadline(terms);
      }
      yield step.value;
    }
  } finally {
    deadline?.cancel();
  }
}
