/** `keelson runtime await`: waits for the end of an input. */
import { type Command, Option } from "commander";
import { AwaitInputResponseSchema } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  usageError,
} from "../client/client-command.ts";
import { tellCompletion } from "./completion-view.ts";
import { type AwaitedInput, waitForEnd } from "./completion-wait.ts";

/** What the options say. */
interface AwaitFlags extends ClientFlags {
  readonly key?: string;
}

/** The input that is meant, by id or by key. */
export function targetOf(inputId: string | undefined, key: string | undefined) {
  if (inputId !== undefined && key === undefined) {
    return { case: "inputId", value: inputId } as const;
  }
  if (key !== undefined && inputId === undefined) {
    return { case: "idempotencyKey", value: key } as const;
  }
  throw usageError("Name the input by its id or by --key, one of both.");
}

/** Makes the command. */
export function makeAwaitCommand(): Command {
  return makeClientCommand("await", "wait for the end of an input and print its result")
    .argument("<runtime>", "name of the runtime")
    .argument("[input]", "id of the input")
    .addOption(new Option("--key <key>", "the input with this idempotency key"))
    .addHelpText(
      "after",
      `
Without --timeout it waits for ever, also while the server is away. Ends with 0 when the input was
done, superseded or coalesced, 1 when it was abandoned, 8 when the time was up.
${examples(
  ["keelson runtime await agent-1 0190...", "by its id"],
  ["keelson runtime await agent-1 --key job-7 --timeout 5m", "by its key, at most five minutes"],
)}`,
    )
    .action(async (runtimeId: string, inputId: string | undefined, flags: AwaitFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const input: AwaitedInput = { runtimeId, target: targetOf(inputId, flags.key) };
        const response = await waitForEnd(connection, input, flags.timeout);
        const told = tellCompletion(response.completion);
        if (output.isJson) output.json(AwaitInputResponseSchema, response);
        else {
          output.note(`${response.inputId}: ${told.summary}`);
          if (told.result !== undefined) output.line(told.result);
        }
        return told.exitCode;
      });
    });
}
