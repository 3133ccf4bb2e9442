import { describe, expect, test } from "vitest";
import { messagesInTime, wholeInTime } from "./message-arrival.ts";

const TERMS = { timeoutMs: 300, lateError: () => new Error("late") };

/** A message of so many bytes in its envelope. */
function enveloped(length: number): Uint8Array {
  const frame = Buffer.alloc(5 + length);
  frame.writeUInt32BE(length, 1);
  return frame;
}

/** Pieces that come one after the other, each after a while; then nothing, for ever. */
async function* slowly(pieces: readonly Uint8Array[], gapMs: number): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    const sinceMs = performance.now();
    await expect.poll(() => performance.now() - sinceMs >= gapMs, { interval: 2 }).toBe(true);
    yield piece;
  }
}

async function* andThenNothing(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* pieces;
  await new Promise(() => undefined);
}

async function countOf(pieces: AsyncIterable<Uint8Array>): Promise<number> {
  let count = 0;
  for await (const piece of pieces) count += Math.sign(piece.byteLength);
  return count;
}

describe("a stream of messages", () => {
  test("may be slower as a whole than one message may be, wherever its pieces end", async () => {
    const all = Buffer.concat(Array.from({ length: 12 }, () => enveloped(10)));
    // Every piece ends one message and begins the next.
    const pieces = Array.from({ length: 11 }, (_, index) =>
      all.subarray(index === 0 ? 0 : 8 + index * 15, 8 + (index + 1) * 15),
    );
    const rest = all.subarray(8 + 11 * 15);
    expect(await countOf(messagesInTime(slowly([...pieces, rest], 60), TERMS))).toBe(12);
  });

  test("is late when one message takes too long, however often a piece of it comes", async () => {
    const message = enveloped(100);
    const pieces = Array.from({ length: 20 }, (_, at) => message.subarray(at, at + 1));
    await expect(countOf(messagesInTime(slowly(pieces, 60), TERMS))).rejects.toThrow("late");
  });

  test("waits for the reader without a hurry", async () => {
    const [head, tail] = [enveloped(10).subarray(0, 7), enveloped(10).subarray(7)];
    const reading = messagesInTime(slowly([head, tail], 1), TERMS);
    await reading.next();
    const sinceMs = performance.now();
    await expect.poll(() => performance.now() - sinceMs >= 500).toBe(true);
    expect((await reading.next()).value).toEqual(tail);
  });
});

test("a body of one message is late also when nothing of it comes", async () => {
  const nothing = andThenNothing(slowly([], 0));
  await expect(countOf(wholeInTime(nothing, TERMS))).rejects.toThrow("late");
});
