/** `keelson admin stream`: a stream as it is stored. */
import type { Command } from "commander";
import { GetStreamResponseSchema } from "../../../gen/keelson/admin/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { formatTimeAndAge, printable, yesNo } from "../client/format.ts";
import { type StreamFlags, withStream } from "./stream-reference.ts";

/** Makes the command. */
export function makeStreamCommand(): Command {
  return withStream(makeClientCommand("stream", "show a stream as it is stored"))
    .addHelpText(
      "after",
      examples(["keelson admin stream agent-1", "head, checkpoint, view, cache"]),
    )
    .action(async (id: string, flags: ClientFlags & StreamFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.admin.getStream({ stream: { kind: flags.kind, id } });
        const { description } = response;
        if (output.isJson) output.json(GetStreamResponseSchema, response);
        else if (description !== undefined) {
          output.facts([
            ["stream", printable(description.streamName)],
            ["head revision", description.headRevision],
            ["head hash", description.headHash],
            ["head time", formatTimeAndAge(description.headTime)],
            ["checkpoint at", description.checkpointRevision],
            ["view at", description.viewRevision],
            ["state in the view", printable(description.state)],
            ["in this replica's cache", yesNo(description.cached)],
            ["quarantined here", yesNo(description.quarantined)],
          ]);
        }
        return undefined;
      });
    });
}
