/** `keelson process await`: waits for the end of a process. */
import type { Command } from "commander";
import { ProcessState } from "../../../gen/keelson/process/v1/messages_pb.ts";
import { AwaitProcessResponseSchema } from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES } from "../client/exit-codes.ts";
import { waitLong } from "../client/long-wait.ts";
import { outputTexts } from "./process-view.ts";

/** Makes the command. */
export function makeProcessAwaitCommand(): Command {
  return makeClientCommand("await", "wait for the end of a process and print what it left")
    .argument("<process>", "name of the process")
    .addHelpText(
      "after",
      `
Without --timeout it waits for ever, also while the server is away. Ends with 0 when the process
completed, 1 when it ended otherwise, 8 when the time was up.
${examples(
  ["keelson process await index-7", "as long as it takes"],
  ["keelson process await index-7 --timeout 5m -o json", "at most five minutes, for scripts"],
)}`,
    )
    .action(async (processId: string, flags: ClientFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await waitLong({
          call: (timeout, options) =>
            connection.processes.awaitProcess({ processId, timeout }, options),
          isOver: ({ outcome }) => outcome.case === "ended",
          patienceMs: flags.timeout,
        });
        const { outcome } = response;
        const end = outcome.case === "ended" ? outcome.value : undefined;
        const texts = end?.output && outputTexts(end.output);
        if (output.isJson) output.json(AwaitProcessResponseSchema, response);
        else {
          output.note(`${processId}: ${texts?.summary ?? "not over yet"}`);
          if (texts?.value !== undefined) output.line(texts.value);
        }
        if (end === undefined) return CLIENT_EXIT_CODES.notOver;
        return end.state === ProcessState.COMPLETED ? undefined : CLIENT_EXIT_CODES.failed;
      });
    });
}
