/** `keelson runtime explain`: why a runtime is not doing more right now. */
import type { Command } from "commander";
import { InputLane, RuntimeState } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  ExplainRuntimeResponseSchema,
  type RuntimeCause,
  RuntimeCauseKind,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { durationFromProto } from "../../rpc/codec/time.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { enumWord, formatSpan, formatTime, printable } from "../client/format.ts";

/** What a cause is about, by its ids. */
function aboutText(cause: RuntimeCause): string {
  const { runId, inputId, executorId, incarnationId, generation, lane, pool } = cause;
  const parts = [
    runId === "" ? "" : `run ${runId}`,
    inputId === "" ? "" : `input ${printable(inputId)}`,
    lane === InputLane.UNSPECIFIED ? "" : `${enumWord(InputLane, lane)} lane`,
    executorId === "" ? "" : `executor ${printable(executorId)}, incarnation ${incarnationId}`,
    generation === 0n ? "" : `generation ${generation}`,
    pool === "" ? "" : `pool ${printable(pool)}`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}

/** What a cause is, and for how long. */
function headText(cause: RuntimeCause): string {
  const elapsedMs = cause.elapsed === undefined ? undefined : durationFromProto(cause.elapsed);
  const notes = [
    enumWord(RuntimeCauseKind, cause.kind),
    ...(elapsedMs === undefined ? [] : [`for ${formatSpan(elapsedMs)}`]),
    ...(cause.until === undefined ? [] : [`until ${formatTime(cause.until)}`]),
  ];
  return `${cause.summary} (${notes.join(", ")})`;
}

function linesOf(cause: RuntimeCause, place: number): readonly string[] {
  const about = aboutText(cause);
  const number = String(place).padStart(2);
  return [
    `${number}  ${headText(cause)}`,
    ...(about === "" ? [] : [`    ${about}`]),
    `    helps: ${cause.remedy}`,
  ];
}

/** Makes the command. */
export function makeExplainCommand(): Command {
  return makeClientCommand("explain", "say why a runtime is not doing more right now")
    .argument("<runtime>", "name of the runtime")
    .addHelpText(
      "after",
      `
Every cause that holds, what has to give way first comes first, with what it is about, for how long
it has held, and what would help.
${examples(
  ["keelson runtime explain agent-1", "why nothing, or no more, is happening"],
  ["keelson runtime explain agent-1 -o json", "with all ids and times"],
)}`,
    )
    .action(async (runtimeId: string, flags: ClientFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.runtimes.explainRuntime({ runtimeId });
        if (output.isJson) {
          output.json(ExplainRuntimeResponseSchema, response);
          return undefined;
        }
        const { runtime, causes } = response;
        const state = enumWord(RuntimeState, runtime?.state ?? 0);
        output.line(`${printable(runtimeId)} is ${state} at revision ${runtime?.revision ?? 0n}`);
        for (const [index, cause] of causes.entries()) {
          for (const line of linesOf(cause, index + 1)) output.line(line);
        }
        return undefined;
      });
    });
}
