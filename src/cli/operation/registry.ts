/** `keelson operation collect` and `terminate-owner`: what concerns the whole registry. */
import { randomUUID } from "node:crypto";
import { type Command, Option } from "commander";
import {
  CollectCompletedResponseSchema,
  TerminateOwnerResponseSchema,
} from "../../../gen/keelson/operation/v1/service_pb.ts";
import {
  bigCountOption,
  type ClientFlags,
  countOption,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { confirm, type ConfirmFlags, withConfirmation } from "../client/confirmation.ts";
import { OPERATION_COLUMNS, registryText } from "./operation-view.ts";

const COLLECTED_DEFAULT = 1_000;

/** What the options of a collection say. */
interface CollectFlags extends ClientFlags {
  readonly through: bigint;
  readonly limit: number;
  readonly epoch?: string;
}

/** What the options of a termination say. */
interface TerminateFlags extends ClientFlags, ConfirmFlags {
  readonly reason: string;
  readonly epoch?: string;
}

/** Makes `keelson operation collect`. */
export function makeCollectCommand(): Command {
  return makeClientCommand("collect", "take ended operations out of the registry")
    .argument("<runtime>", "name of the runtime")
    .addOption(
      new Option("--through <sequence>", "nothing behind this completion, and confirm all up to it")
        .argParser(bigCountOption)
        .default(0n, "all"),
    )
    .addOption(
      new Option("--limit <number>", "most operations")
        .argParser(countOption)
        .default(COLLECTED_DEFAULT),
    )
    .option("--epoch <id>", "only if the runtime is in this epoch")
    .addHelpText(
      "after",
      examples(
        ["keelson operation collect agent-1", "everything that has ended, the oldest first"],
        ["keelson operation collect agent-1 --through 120", "what the agent is known to have"],
      ),
    )
    .action(async (runtimeId: string, flags: CollectFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.operations.collectCompleted({
          runtimeId,
          throughSequence: flags.through,
          limit: flags.limit,
          expectedEpochId: flags.epoch ?? "",
          requestId: randomUUID(),
        });
        if (output.isJson) output.json(CollectCompletedResponseSchema, response);
        else {
          output.table(OPERATION_COLUMNS, response.operations, "nothing to collect");
          if (response.registry !== undefined) output.note(registryText(response.registry));
        }
        return undefined;
      });
    });
}

/** Makes `keelson operation terminate-owner`. */
export function makeTerminateOwnerCommand(): Command {
  const description = "end every active operation of a runtime as terminated";
  return withConfirmation(makeClientCommand("terminate-owner", description))
    .argument("<runtime>", "name of the runtime")
    .requiredOption("--reason <text>", "why; it becomes part of the outcomes")
    .option("--epoch <id>", "only if the runtime is in this epoch")
    .addHelpText(
      "after",
      examples(
        ["keelson operation terminate-owner agent-1 --reason 'host is going'", "shows them, asks"],
        ["keelson operation terminate-owner agent-1 --reason 'host is going' --yes", "at once"],
      ),
    )
    .action(async (runtimeId: string, flags: TerminateFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        if (flags.yes !== true) {
          const filter = { active: true };
          const list = await connection.operations.listOperations({ runtimeId, filter });
          output.noteTable(OPERATION_COLUMNS, list.operations);
          await confirm(`End ${list.registry?.active ?? 0} operations of ${runtimeId}?`);
        }
        const response = await connection.operations.terminateOwner({
          runtimeId,
          reason: flags.reason,
          expectedEpochId: flags.epoch ?? "",
          requestId: randomUUID(),
        });
        const { terminatedCount, revision } = response;
        if (output.isJson) output.json(TerminateOwnerResponseSchema, response);
        else output.line(`${terminatedCount} operations ended at revision ${revision}`);
        return undefined;
      });
    });
}
