/** `keelson process get`: one process, now or as it was. */
import type { Command } from "commander";
import { GetProcessResponseSchema } from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  bigCountOption,
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { processFacts } from "./process-view.ts";

/** What the options say. */
interface GetFlags extends ClientFlags {
  readonly at?: bigint;
}

/** Makes the command. */
export function makeProcessGetCommand(): Command {
  return makeClientCommand("get", "show a process")
    .argument("<process>", "name of the process")
    .option("--at <revision>", "as it was at this revision, from 1", bigCountOption)
    .addHelpText(
      "after",
      examples(
        ["keelson process get index-7", "as it is"],
        ["keelson process get index-7 --at 3", "as it was after the third commit"],
        ["keelson process get index-7 -o json", "with input, event types and output"],
      ),
    )
    .action(async (processId: string, flags: GetFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const atRevision = flags.at === undefined ? {} : { atRevision: flags.at };
        const response = await connection.processes.getProcess({ processId, ...atRevision });
        if (output.isJson) output.json(GetProcessResponseSchema, response);
        else if (response.process !== undefined) output.facts(processFacts(response.process));
        return undefined;
      });
    });
}
