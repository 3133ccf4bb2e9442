/** What the command of a process says and how it ends, as events and as an output. */
import { fromJson, fromJsonString, type MessageInitShape } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { ProcessOutputSchema } from "../../../gen/keelson/process/v1/messages_pb.ts";
import type { CommandEnd } from "./command-process.ts";
import { storable } from "./run-result.ts";

/** Why a command was told to end. */
export type ProcessEnding =
  | { readonly type: "cancelled"; readonly message: string }
  | { readonly type: "failed"; readonly code: string }
  /** It is given back for others. */
  | { readonly type: "released" }
  /** It is somebody else's; nothing is reported. */
  | { readonly type: "lost" };

/** An event that a command asked for. */
export interface AskedEvent {
  readonly type: string;
  /** Null when absent. */
  readonly payload?: Value;
  /** Replay key. */
  readonly key?: string;
}

function jsonOf(text: string): Value | undefined {
  try {
    return fromJsonString(ValueSchema, text);
  } catch {
    return undefined;
  }
}

function textOf(value: Value | undefined): string | undefined {
  return value?.kind.case === "stringValue" ? value.kind.value : undefined;
}

/** The event of a line that is a JSON object with a text `type`; undefined for any other line. */
export function eventOfLine(text: string): AskedEvent | undefined {
  if (!text.startsWith("{")) return undefined;
  const json = jsonOf(storable(text));
  if (json?.kind.case !== "structValue") return undefined;
  const { type: typeValue, payload, key: keyValue } = json.kind.value.fields;
  const [type, key] = [textOf(typeValue), textOf(keyValue)];
  if (type === undefined) return undefined;
  return {
    type,
    ...(payload === undefined ? {} : { payload }),
    ...(key === undefined ? {} : { key }),
  };
}

/** The output of a process whose command ended so, and a word for it. */
export function outputOfEnd(
  end: CommandEnd,
  ending: ProcessEnding | undefined,
  lastLine: string,
  lastErrorLine: string,
): { readonly output: MessageInitShape<typeof ProcessOutputSchema>; readonly summary: string } {
  const isDone = end.type === "exited" && end.exitCode === 0;
  if (ending?.type === "cancelled" && !isDone) {
    const value = { message: ending.message };
    return { output: { output: { case: "cancelled", value } }, summary: "cancelled" };
  }
  if (isDone && ending?.type !== "failed") {
    const text = storable(lastLine);
    const said = jsonOf(text) ?? fromJson(ValueSchema, text);
    const value = lastLine === "" ? {} : { value: said };
    return { output: { output: { case: "success", value } }, summary: "completed" };
  }
  const how = end.type === "exited" ? `exit_${end.exitCode}` : "killed";
  const code = ending?.type === "failed" ? ending.code : how;
  const value = { failureClass: "command", code, message: storable(lastErrorLine) };
  return { output: { output: { case: "failure", value } }, summary: `failed (${code})` };
}
