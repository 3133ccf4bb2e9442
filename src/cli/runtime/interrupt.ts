/** `keelson runtime interrupt`: asks the executor to end the run in flight. */
import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { InterruptRunResponseSchema } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import {
  type ClientFlags,
  CommandError,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES } from "../client/exit-codes.ts";
import { confirm, type ConfirmFlags, withConfirmation } from "../client/confirmation.ts";
import { runtimeFacts } from "./runtime-view.ts";

/** What the options say. */
interface InterruptFlags extends ClientFlags, ConfirmFlags {
  readonly run?: string;
  readonly reason?: string;
}

/** Makes the command. */
export function makeInterruptCommand(): Command {
  return withConfirmation(makeClientCommand("interrupt", "ask for the end of the run in flight"))
    .argument("<runtime>", "name of the runtime")
    .option("--run <id>", "only if this is the run in flight")
    .option("--reason <text>", "why, for the executor and the history")
    .addHelpText(
      "after",
      examples(
        ["keelson runtime interrupt agent-1", "shows the run and asks"],
        ["keelson runtime interrupt agent-1 --yes --reason 'wrong input'", "at once"],
      ),
    )
    .action(async (runtimeId: string, flags: InterruptFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        let runId = flags.run ?? "";
        if (flags.yes !== true) {
          const { runtime } = await connection.runtimes.getRuntime({ runtimeId });
          if (runtime?.currentRun === undefined) {
            throw new CommandError("no run is in flight", CLIENT_EXIT_CODES.precondition);
          }
          runId ||= runtime.currentRun.runId;
          output.noteFacts(runtimeFacts(runtime));
          await confirm(`Interrupt the run ${runId}?`);
        }
        const { reason = "" } = flags;
        const request = { runtimeId, runId, reason, requestId: randomUUID() };
        const response = await connection.runtimes.interruptRun(request);
        if (output.isJson) output.json(InterruptRunResponseSchema, response);
        else output.line(`the executor of the run ${response.runId} is being told`);
        return undefined;
      });
    });
}
