/** `keelson runtime publish`: keeps an event of the caller's in the history of a runtime. */
import type { Value } from "@bufbuild/protobuf/wkt";
import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { PublishEventResponseSchema } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { jsonOption } from "../client/value-options.ts";

/** What the options say. */
interface PublishFlags extends ClientFlags {
  readonly payload?: Value;
  readonly correlation?: string;
  readonly causation?: string;
}

/** Makes the command. */
export function makePublishCommand(): Command {
  return makeClientCommand("publish", "publish an event of your own to those who watch")
    .argument("<runtime>", "name of the runtime")
    .argument("<code>", "code of the event, such as billing.invoice_sent")
    .option("--payload <json>", "content of the event", jsonOption)
    .option("--correlation <id>", "ties events of one conversation together")
    .option("--causation <id>", "what caused the event")
    .addHelpText(
      "after",
      examples(
        ["keelson runtime publish agent-1 billing.paid", "without content"],
        [`keelson runtime publish agent-1 billing.paid --payload '{"cents":99}'`, "with content"],
      ),
    )
    .action(async (runtimeId: string, eventCode: string, flags: PublishFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.runtimes.publishEvent({
          runtimeId,
          eventCode,
          requestId: randomUUID(),
          correlationId: flags.correlation ?? "",
          causationId: flags.causation ?? "",
          ...(flags.payload === undefined ? {} : { payload: flags.payload }),
        });
        if (output.isJson) output.json(PublishEventResponseSchema, response);
        else output.line(`published ${response.eventId} at revision ${response.revision}`);
        return undefined;
      });
    });
}
