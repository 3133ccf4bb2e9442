/** `keelson runtime verify`: reads the whole history again and checks it. */
import type { Command } from "commander";
import { VerifyRuntimeResponseSchema } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES } from "../client/exit-codes.ts";
import { printable } from "../client/format.ts";

/** Makes the command. */
export function makeVerifyCommand(): Command {
  return makeClientCommand("verify", "check the history of a runtime: hashes and state")
    .argument("<runtime>", "name of the runtime")
    .addHelpText(
      "after",
      examples(
        ["keelson runtime verify agent-1", "ends with 1 when something is wrong"],
        ["keelson runtime verify agent-1 -o json | jq -r .headHash", "an anchor to keep elsewhere"],
      ),
    )
    .action(async (runtimeId: string, flags: ClientFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.runtimes.verifyRuntime({ runtimeId });
        const { valid, commitCount, headHash, problem, firstBadRevision } = response;
        if (output.isJson) output.json(VerifyRuntimeResponseSchema, response);
        else {
          output.facts([
            ["runtime", printable(runtimeId)],
            [
              "history",
              valid ? { text: "valid", colour: "green" } : { text: "BAD", colour: "red" },
            ],
            ["commits", commitCount],
            ["last good hash", headHash],
            ["first bad revision", firstBadRevision],
            ["problem", printable(problem)],
          ]);
        }
        return valid ? undefined : CLIENT_EXIT_CODES.failed;
      });
    });
}
