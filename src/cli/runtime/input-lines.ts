/**
 * Reads inputs from a file of JSON lines. Every line gets an idempotency key: its own, or one made
 * of a prefix and the line's number. The prefix is made of the file's content unless told
 * otherwise, so that the same file sent again has the same keys.
 */
import { fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import {
  type IngestBatchItem,
  IngestBatchItemSchema,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { usageError } from "../client/client-command.ts";

const PREFIX_CHARACTERS = 16;

/** One line that is an input. */
export interface InputLine {
  /** Number of the line, from 1. */
  readonly line: number;
  readonly item: IngestBatchItem;
  readonly bytes: number;
}

/** What lines get that do not say it themselves. */
export interface LineDefaults {
  readonly runtimeId: string | undefined;
  readonly ensure: boolean;
  readonly withoutWake: boolean;
  readonly keyPrefix: string;
}

/** The prefix of keys for a file: the same for the same content. */
export async function keyPrefixOf(path: string): Promise<string> {
  // Nobody can read stdin twice, so its lines have keys for this one sending only.
  if (path === "-") return randomUUID();
  const digest = createHash("sha256");
  await pipeline(createReadStream(path), digest);
  return digest.digest("hex").slice(0, PREFIX_CHARACTERS);
}

function parseLine(line: number, text: string): JsonValue {
  try {
    const json: unknown = JSON.parse(text);
    if (isJsonObject(json)) return json;
  } catch (error) {
    throw usageError(`line ${line}: ${error instanceof Error ? error.message : "no JSON"}`);
  }
  throw usageError(`line ${line}: must be a JSON object`);
}

function isJsonObject(json: unknown): json is { [name: string]: JsonValue } {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function itemOf(line: number, text: string, defaults: LineDefaults): IngestBatchItem {
  const json = parseLine(line, text);
  const hasItemShape = isJsonObject(json) && "input" in json;
  let item: IngestBatchItem;
  try {
    item = fromJson(IngestBatchItemSchema, hasItemShape ? json : { input: json });
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw usageError(`line ${line}: ${problem}`);
  }
  if (item.runtimeId === "") {
    if (defaults.runtimeId === undefined) throw usageError(`line ${line}: names no runtime`);
    item.runtimeId = defaults.runtimeId;
  }
  if (item.input !== undefined && item.input.idempotencyKey === "") {
    item.input.idempotencyKey = `${defaults.keyPrefix}:${line}`;
  }
  item.ensure ||= defaults.ensure;
  item.withoutWake ||= defaults.withoutWake;
  return item;
}

/** The inputs of a file, line by line; empty lines are passed over. */
export async function* readInputLines(
  path: string,
  defaults: LineDefaults,
): AsyncGenerator<InputLine> {
  const source = path === "-" ? process.stdin : createReadStream(path);
  const lines = createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY });
  let line = 0;
  for await (const text of lines) {
    line += 1;
    if (text.trim() === "") continue;
    const item = itemOf(line, text, defaults);
    yield { line, item, bytes: toBinary(IngestBatchItemSchema, item).length };
  }
}
