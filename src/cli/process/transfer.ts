/** `keelson process transfer`: moves grants from one session to another, all or none. */
import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { TransferHandleGrantsResponseSchema } from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";

/** What the options say. */
interface TransferFlags extends ClientFlags {
  readonly fromFrame?: string;
  readonly toFrame?: string;
}

/** Makes the command. */
export function makeTransferCommand(): Command {
  return makeClientCommand("transfer", "move grants from one session to another, all or none")
    .argument("<from>", "session that has the grants")
    .argument("<to>", "session that shall have them")
    .argument("<process...>", "the processes")
    .option("--from-frame <id>", "frame of an agent in the first session")
    .option("--to-frame <id>", "frame of an agent in the second session")
    .addHelpText(
      "after",
      examples(
        ["keelson process transfer chat-1 chat-2 index-7", "one"],
        ["keelson process transfer chat-1 chat-2 index-7 index-8", "both or none"],
      ),
    )
    .action(async (from: string, to: string, processIds: string[], flags: TransferFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.processes.transferHandleGrants({
          from: { sessionId: from, agentFrameId: flags.fromFrame ?? "" },
          to: { sessionId: to, agentFrameId: flags.toFrame ?? "" },
          processIds,
          requestId: randomUUID(),
        });
        if (output.isJson) output.json(TransferHandleGrantsResponseSchema, response);
        else output.line(`moved ${response.grants.length}`);
        return undefined;
      });
    });
}
