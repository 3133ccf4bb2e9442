/** `keelson runtime set-silent-intents`: which requests of peers do not wake a runtime. */
import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { SetSilentIntentsResponseSchema } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  usageError,
} from "../client/client-command.ts";
import { printable } from "../client/format.ts";

/** What the options say. */
interface SilentFlags extends ClientFlags {
  readonly none?: boolean;
}

/** Makes the command. */
export function makeSetSilentIntentsCommand(): Command {
  return makeClientCommand("set-silent-intents", "say which requests of peers wake nobody")
    .argument("<runtime>", "name of the runtime")
    .argument("[intents...]", "the whole set; it replaces the one there is")
    .option("--none", "an empty set: every request wakes again")
    .addHelpText(
      "after",
      `
A peer's request with a silent intent is queued for the next run and does not start one. The set
is shown by \`keelson runtime get\`.
${examples(
  ["keelson runtime set-silent-intents agent-1 status ping", "these two, and no others"],
  ["keelson runtime set-silent-intents agent-1 --none", "none any more"],
)}`,
    )
    .action(async (runtimeId: string, intents: readonly string[], flags: SilentFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        if ((intents.length === 0) !== (flags.none ?? false)) {
          throw usageError("Name the intents, or --none for an empty set.");
        }
        const request = { runtimeId, intents: [...intents], requestId: randomUUID() };
        const response = await connection.runtimes.setSilentIntents(request);
        if (output.isJson) {
          output.json(SetSilentIntentsResponseSchema, response);
          return undefined;
        }
        const set = response.runtime?.silentIntents.map(printable).join(", ") || "none";
        const revision = `at revision ${response.revision}`;
        output.line(`silent intents of ${printable(runtimeId)} ${revision}: ${set}`);
        return undefined;
      });
    });
}
