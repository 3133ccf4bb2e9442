/** `keelson process wait`: waits for an event of a process. */
import type { Command } from "commander";
import { WaitEventResponseSchema } from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  bigCountOption,
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES } from "../client/exit-codes.ts";
import { waitLong } from "../client/long-wait.ts";
import { eventLine } from "./process-view.ts";

/** What the options say. */
interface WaitFlags extends ClientFlags {
  readonly after?: bigint;
}

/** Makes the command. */
export function makeWaitCommand(): Command {
  return makeClientCommand("wait", "wait for an event of a process and print it")
    .argument("<process>", "name of the process")
    .argument("<type>", "type of the event")
    .option("--after <sequence>", "look behind this event only", bigCountOption)
    .addHelpText(
      "after",
      `
Without --timeout it waits for ever, also while the server is away. Ends with 0 when the event came,
8 when the time was up.
${examples(
  ["keelson process wait index-7 signal.go", "the first one, past or next"],
  ["keelson process wait index-7 progress --after 12 --timeout 5m", "the next one, five minutes"],
)}`,
    )
    .action(async (processId: string, eventType: string, flags: WaitFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const request = { processId, eventType, afterSequence: flags.after ?? 0n };
        const response = await waitLong({
          call: (timeout, options) =>
            connection.processes.waitEvent({ ...request, timeout }, options),
          isOver: ({ event }) => event !== undefined,
          patienceMs: flags.timeout,
        });
        if (output.isJson) output.json(WaitEventResponseSchema, response);
        else if (response.event !== undefined) output.line(eventLine(response.event));
        else output.note("it did not come in time");
        return response.event === undefined ? CLIENT_EXIT_CODES.notOver : undefined;
      });
    });
}
