/** `keelson process cancel`: asks for a process to be cancelled. */
import type { Command } from "commander";
import { CancelProcessResponseSchema } from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { eventLine } from "./process-view.ts";

/** What the options say. */
interface CancelFlags extends ClientFlags {
  readonly reason?: string;
}

/** Makes the command. */
export function makeProcessCancelCommand(): Command {
  return makeClientCommand("cancel", "ask for a process to be cancelled")
    .argument("<process>", "name of the process")
    .option("--reason <text>", "why, for people and the worker")
    .addHelpText(
      "after",
      `
An event tells the worker, which ends the process; this command does not wait for it. The same
reason again changes nothing.
${examples(
  ["keelson process cancel index-7 --reason 'not needed any more'", "with a reason"],
  ["keelson process cancel index-7 && keelson process await index-7", "and wait for the end"],
)}`,
    )
    .action(async (processId: string, flags: CancelFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const reason = flags.reason ?? "";
        const response = await connection.processes.cancelProcess({ processId, reason });
        if (output.isJson) output.json(CancelProcessResponseSchema, response);
        else if (response.event !== undefined) output.line(eventLine(response.event));
        return undefined;
      });
    });
}
