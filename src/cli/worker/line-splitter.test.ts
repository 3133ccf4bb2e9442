import { expect, it } from "vitest";
import { makeLineSplitter, type OutputLine } from "./line-splitter.ts";

function linesOf(chunks: readonly Uint8Array[], charactersMax = 100): OutputLine[] {
  const lines: OutputLine[] = [];
  const splitter = makeLineSplitter(charactersMax, (line) => lines.push(line));
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return lines;
}

function whole(text: string): OutputLine {
  return { text, isCut: false };
}

it("gives lines however the bytes arrive", () => {
  const bytes = Buffer.from("ein grüner 🦀\r\n\nlast");
  const expected = [whole("ein grüner 🦀"), whole(""), whole("last")];
  expect(linesOf([bytes])).toEqual(expected);
  expect(linesOf([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(expected);
});

it("cuts a line without end and goes on with the next one", () => {
  const chunks = Array.from({ length: 1_000 }, () => Buffer.alloc(1_000, "x"));
  expect(linesOf([...chunks, Buffer.from("\nnext\n")], 10)).toEqual([
    { text: "xxxxxxxxxx", isCut: true },
    whole("next"),
  ]);
});

it("replaces bytes that are no UTF-8", () => {
  expect(linesOf([Uint8Array.of(0x61, 0xff, 0x0a)])).toEqual([whole("a\uFFFD")]);
});
