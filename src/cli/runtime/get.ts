/** `keelson runtime get`: one runtime, now or as it was. */
import type { Command } from "commander";
import { GetRuntimeResponseSchema } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import {
  bigCountOption,
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { runtimeFacts } from "./runtime-view.ts";

/** What the options say. */
interface GetFlags extends ClientFlags {
  readonly at?: bigint;
}

/** Makes the command. */
export function makeGetCommand(): Command {
  return makeClientCommand("get", "show a runtime")
    .argument("<runtime>", "name of the runtime")
    .option("--at <revision>", "as it was at this revision, from 1", bigCountOption)
    .addHelpText(
      "after",
      examples(
        ["keelson runtime get agent-1", "as it is"],
        ["keelson runtime get agent-1 --at 12", "as it was after the twelfth commit"],
        ["keelson runtime get agent-1 -o json", "for scripts"],
      ),
    )
    .action(async (runtimeId: string, flags: GetFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const atRevision = flags.at === undefined ? {} : { atRevision: flags.at };
        const response = await connection.runtimes.getRuntime({ runtimeId, ...atRevision });
        if (output.isJson) output.json(GetRuntimeResponseSchema, response);
        else if (response.runtime !== undefined) output.facts(runtimeFacts(response.runtime));
        return undefined;
      });
    });
}
