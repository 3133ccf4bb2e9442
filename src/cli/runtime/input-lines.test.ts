import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CommandError } from "../client/client-command.ts";
import { type InputLine, keyPrefixOf, readInputLines } from "./input-lines.ts";

let folder = "";
let path = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "keelson-lines-"));
  path = join(folder, "inputs.jsonl");
});

afterEach(() => rm(folder, { recursive: true }));

async function read(text: string, runtimeId?: string): Promise<InputLine[]> {
  await writeFile(path, text);
  const defaults = { runtimeId, ensure: true, withoutWake: false, keyPrefix: "p" };
  const lines: InputLine[] = [];
  for await (const line of readInputLines(path, defaults)) lines.push(line);
  return lines;
}

describe("lines", () => {
  it("are inputs, or items that name their runtime", async () => {
    const lines = await read(
      '{"prompt":{"text":"a"}}\n\n{"runtimeId":"r2","input":{"idempotencyKey":"k","prompt":{}}}',
      "r1",
    );
    expect(lines).toMatchObject([
      { line: 1, item: { runtimeId: "r1", ensure: true, input: { idempotencyKey: "p:1" } } },
      { line: 3, item: { runtimeId: "r2", ensure: true, input: { idempotencyKey: "k" } } },
    ]);
  });

  it.each([
    ["{", /^line 1: /],
    ["[]", /^line 1: must be a JSON object$/],
    ['{"prompt":{}}', /^line 1: names no runtime$/],
    ['{"promt":{}}', /^line 1: .*promt/],
  ])("like %s are refused by number", async (text, message) => {
    await expect(read(text)).rejects.toThrow(message);
    await expect(read(text)).rejects.toBeInstanceOf(CommandError);
  });
});

describe("the prefix of keys", () => {
  it("is the same for the same content only", async () => {
    await writeFile(path, "one");
    const first = await keyPrefixOf(path);
    expect(await keyPrefixOf(path)).toBe(first);
    await writeFile(path, "two");
    expect(await keyPrefixOf(path)).not.toBe(first);
    expect(await keyPrefixOf("-")).not.toBe(await keyPrefixOf("-"));
  });
});
