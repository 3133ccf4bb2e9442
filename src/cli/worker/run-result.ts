/** The result of a run: the last line that its command wrote, or the content of its result file. */
import { fromJsonString, type MessageInitShape } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CompleteRunRequestSchema } from "../../../gen/keelson/executor/v1/service_pb.ts";

/** Most bytes of a result; the server counts exactly and has the last word. */
const RESULT_BYTES_MAX = 1024 * 1024;

/** The outcome of a run as a report carries it. */
export type ReportedOutcome = NonNullable<
  MessageInitShape<typeof CompleteRunRequestSchema>["outcome"]
>;

/** A place where a command may leave its result. */
export interface ResultFile {
  readonly path: string;
  /** The content; undefined when it is larger than a result may be, empty when there is none. */
  readonly read: () => Promise<string | undefined>;
  readonly remove: () => Promise<void>;
}

/** Text as the server takes it: what cannot be stored is replaced. */
export function storable(text: string): string {
  return text.replaceAll("\0", "\uFFFD").toWellFormed();
}

function structuredOf(text: string): Value | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return fromJsonString(ValueSchema, text);
  } catch {
    return undefined;
  }
}

/** A JSON object or array becomes a structured result, other text a text, and nothing none. */
export function outcomeOf(text: string): ReportedOutcome {
  if (text === "") return { case: "none", value: {} };
  const structured = structuredOf(text);
  if (structured !== undefined) return { case: "result", value: { structured } };
  return { case: "result", value: { text: storable(text) } };
}

/** Makes a place of its own for the result of one run. */
export async function makeResultFile(): Promise<ResultFile> {
  const folder = await mkdtemp(join(tmpdir(), "keelson-run-"));
  const path = join(folder, "result");
  return {
    path,
    read: () => readBounded(path),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

async function readBounded(path: string): Promise<string | undefined> {
  let file;
  try {
    file = await open(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
  try {
    const bytes = Buffer.alloc(RESULT_BYTES_MAX + 1);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length === bytes.length) return undefined;
    return bytes.toString("utf8", 0, length).replace(/\r?\n$/, "");
  } finally {
    await file.close();
  }
}
