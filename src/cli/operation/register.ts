/** `keelson operation register`: an operation that is provisioning from then on. */
import { randomUUID } from "node:crypto";
import { type Command, Option } from "commander";
import { OperationKind } from "../../../gen/keelson/operation/v1/messages_pb.ts";
import { RegisterOperationResponseSchema } from "../../../gen/keelson/operation/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { enumWords } from "../client/format.ts";
import { enumOption } from "../client/value-options.ts";

/** What the options say. */
interface RegisterFlags extends ClientFlags {
  readonly id?: string;
  readonly kind: OperationKind;
  readonly source?: string;
  readonly childRuntime?: string;
  readonly expectPeer?: boolean;
  readonly epoch?: string;
}

/** Makes the command. */
export function makeRegisterCommand(): Command {
  return makeClientCommand("register", "register an operation of a runtime")
    .argument("<runtime>", "name of the runtime")
    .argument("<name>", "name of the operation for people")
    .option("--id <id>", "its id, unique in the runtime for ever; the server makes one")
    .addOption(
      new Option("--kind <word>", `one of ${enumWords(OperationKind).join(", ")}`)
        .argParser(enumOption(OperationKind))
        .default(OperationKind.BACKGROUND_TOOL_OP, "background_tool_op"),
    )
    .option("--source <text>", "what started it, such as the name of a tool")
    .option("--child-runtime <name>", "runtime of the child, where it is one")
    .option("--expect-peer", "a peer channel is expected; only for mob_member_child")
    .option("--epoch <id>", "only if the runtime is in this epoch")
    .addHelpText(
      "after",
      examples(
        ["keelson operation register agent-1 'build the image' --id build-7", "with an id"],
        [
          "keelson operation register agent-1 researcher --kind mob_member_child --expect-peer",
          "a member of a mob",
        ],
      ),
    )
    .action(async (runtimeId: string, displayName: string, flags: RegisterFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const spec = {
          operationId: flags.id ?? "",
          kind: flags.kind,
          displayName,
          sourceLabel: flags.source ?? "",
          childRuntimeId: flags.childRuntime ?? "",
          expectPeerChannel: flags.expectPeer === true,
        };
        const response = await connection.operations.registerOperation({
          runtimeId,
          spec,
          expectedEpochId: flags.epoch ?? "",
          requestId: randomUUID(),
        });
        if (output.isJson) output.json(RegisterOperationResponseSchema, response);
        else output.line(response.operation?.operationId ?? "");
        return undefined;
      });
    });
}
