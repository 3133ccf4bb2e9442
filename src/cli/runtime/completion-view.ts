/** How an input ended, as people and scripts are told. */
import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  AbandonReason,
  type InputCompletion,
  InputState,
  type RunResult,
  RuntimeTerminationReason,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { CLIENT_EXIT_CODES, type ClientExitCode } from "../client/exit-codes.ts";
import { enumWord, printable } from "../client/format.ts";

/** The end of an input in words, with the code that a command ends with. */
export interface ToldCompletion {
  /** What a program would want to read: the result. Absent when there is none. */
  readonly result?: string;
  /** What happened, for people. */
  readonly summary: string;
  readonly exitCode: ClientExitCode;
}

/** A result as text: its text, or else its structure as JSON. */
function resultText({ text, structured }: RunResult): string {
  if (text !== "" || structured === undefined) return text;
  return JSON.stringify(toJson(ValueSchema, structured));
}

/** Says how an input ended. */
export function tellCompletion(completion: InputCompletion | undefined): ToldCompletion {
  const { ok, failed, notOver } = CLIENT_EXIT_CODES;
  const outcome = completion?.outcome;
  switch (outcome?.case) {
    case "completed": {
      const { result } = outcome.value;
      const shown = result === undefined ? {} : { result: resultText(result) };
      return { summary: "completed", exitCode: ok, ...shown };
    }
    case "completedWithoutResult":
      return { summary: "completed without a result", exitCode: ok };
    case "callbackPending": {
      const tool = printable(outcome.value.toolName);
      return { summary: `completed; waits for the tool ${tool}`, exitCode: ok };
    }
    case "superseded":
      return { summary: `superseded by ${printable(outcome.value.byInputId)}`, exitCode: ok };
    case "coalesced":
      return { summary: `coalesced into ${printable(outcome.value.aggregateId)}`, exitCode: ok };
    case "abandoned": {
      const { reason, detail, attempts } = outcome.value;
      const why = `${enumWord(AbandonReason, reason)}, ${attempts} attempts`;
      const more = detail === "" ? "" : `: ${printable(detail)}`;
      return { summary: `abandoned (${why})${more}`, exitCode: failed };
    }
    case "runtimeTerminated": {
      const reason = enumWord(RuntimeTerminationReason, outcome.value.reason);
      return { summary: `its runtime was ${reason}`, exitCode: failed };
    }
    case "pending": {
      const state = enumWord(InputState, outcome.value.state);
      return { summary: `not over yet (${state})`, exitCode: notOver };
    }
    case undefined:
      return { summary: "not over yet", exitCode: notOver };
  }
}
