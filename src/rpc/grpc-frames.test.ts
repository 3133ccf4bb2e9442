import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { joinFrames, makeFrameSplitter } from "./grpc-frames.ts";

const LIMIT_BYTES = 100;

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** What a splitter makes of pieces of so many bytes each. */
function splitBy(whole: Uint8Array, pieceBytes: number): { texts: string[]; isWithin: boolean } {
  const frames = makeFrameSplitter(LIMIT_BYTES);
  const texts: string[] = [];
  for (let start = 0; start < whole.length; start += pieceBytes) {
    for (const frame of frames.take(whole.subarray(start, start + pieceBytes))) {
      texts.push(textOf(frame));
    }
  }
  return { texts, isWithin: frames.isWithin() };
}

function errorOf(work: () => unknown): ConnectError {
  try {
    work();
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("nothing was thrown");
}

test("messages come out as they went in, however the bytes are cut", () => {
  const texts = ["first", "", "the third one", "x".repeat(LIMIT_BYTES)];
  const whole = joinFrames(texts.map(bytesOf));
  for (let pieceBytes = 1; pieceBytes <= whole.length; pieceBytes += 1) {
    expect(splitBy(whole, pieceBytes)).toEqual({ texts, isWithin: false });
  }
});

test("the start of a message waits for its end", () => {
  const whole = joinFrames([bytesOf("whole"), bytesOf("cut off")]);
  expect(splitBy(whole.subarray(0, whole.length - 1), 7)).toEqual({
    texts: ["whole"],
    isWithin: true,
  });
});

test("a message over the limit is refused before it is there", () => {
  const head = joinFrames([bytesOf("x".repeat(LIMIT_BYTES + 1))]).subarray(0, 5);
  const error = errorOf(() => splitBy(head, 5));
  expect(error.code).toBe(Code.ResourceExhausted);
  expect(error.rawMessage).toContain(`${LIMIT_BYTES + 1}`);
});

test("a compressed message is refused where no compression was agreed on", () => {
  const frame = joinFrames([bytesOf("x")]);
  frame.writeUInt8(1, 0);
  expect(errorOf(() => splitBy(frame, frame.length)).rawMessage).toContain("compressed");
});
