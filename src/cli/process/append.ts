/** `keelson process append`: appends an event to a process. */
import type { Value } from "@bufbuild/protobuf/wkt";
import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { AppendEventResponseSchema } from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { jsonOption } from "../client/value-options.ts";
import { eventLine } from "./process-view.ts";

/** What the options say. */
interface AppendFlags extends ClientFlags {
  readonly payload?: Value;
  readonly key?: string;
  readonly wake?: string;
}

/** Makes the command. */
export function makeAppendCommand(): Command {
  return makeClientCommand("append", "append an event to a process")
    .argument("<process>", "name of the process")
    .argument("<type>", "type of the event, one that the process declares")
    .option("--payload <json>", "what the event says", jsonOption)
    .option("--key <key>", "replay key: the same event again is recognised by it")
    .option("--wake <runtime>", "runtime that its wake goes to")
    .addHelpText(
      "after",
      examples(
        [`keelson process append index-7 progress --payload '{"done":3}'`, "with content"],
        ["keelson process append index-7 signal.go --key go-1", "once, however often it is sent"],
      ),
    )
    .action(async (processId: string, eventType: string, flags: AppendFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.processes.appendEvent({
          processId,
          eventType,
          replayKey: flags.key ?? "",
          wakeRuntimeId: flags.wake ?? "",
          requestId: randomUUID(),
          ...(flags.payload === undefined ? {} : { payload: flags.payload }),
        });
        if (output.isJson) output.json(AppendEventResponseSchema, response);
        else if (response.event !== undefined) output.line(eventLine(response.event));
        if (!output.isJson && response.replayed) output.note("it was there already");
        return undefined;
      });
    });
}
