/** `keelson admin rebuild-views`: writes the views anew from the streams, with progress. */
import type { Command } from "commander";
import {
  type RebuildViewsResponse,
  RebuildViewsResponseSchema,
} from "../../../gen/keelson/admin/v1/service_pb.ts";
import { durationFromProto } from "../../rpc/codec/time.ts";
import {
  type ClientFlags,
  CommandError,
  examples,
  makeClientCommand,
  runClient,
  usageError,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES } from "../client/exit-codes.ts";
import { formatSpan } from "../client/format.ts";

/** What the options say. */
interface RebuildFlags extends ClientFlags {
  readonly kind?: string;
  readonly allNamespaces?: boolean;
}

function progressText(response: RebuildViewsResponse): string {
  const { streamsRead, rowsWritten, streamsFailed, elapsed } = response;
  const span = formatSpan((elapsed && durationFromProto(elapsed)) ?? 0);
  const failed = streamsFailed > 0n ? `, ${streamsFailed} failed` : "";
  return `${streamsRead} streams read, ${rowsWritten} rows written${failed} in ${span}`;
}

/** Makes the command. */
export function makeRebuildViewsCommand(): Command {
  return makeClientCommand("rebuild-views", "write the views anew from the streams")
    .argument("[id]", "only this stream")
    .option("--kind <kind>", "only streams of this kind; runtime when one is named")
    .option("--all-namespaces", "of all namespaces, not only the one of the call")
    .addHelpText(
      "after",
      `
Serving goes on meanwhile. What breaks off is simply started again.
${examples(
  ["keelson admin rebuild-views", "of the namespace"],
  ["keelson admin rebuild-views --all-namespaces", "everything"],
  ["keelson admin rebuild-views agent-1", "one runtime"],
)}`,
    )
    .action(async (id: string | undefined, flags: RebuildFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        if (id !== undefined && flags.allNamespaces) {
          throw usageError("A stream lives in one namespace: leave --all-namespaces out.");
        }
        const { kind = "" } = flags;
        const namespace = flags.allNamespaces ? "" : connection.namespace;
        const request =
          id === undefined ? { kind, namespace } : { stream: { kind: kind || "runtime", id } };
        let last: RebuildViewsResponse | undefined;
        const responses = connection.admin.rebuildViews(request, { timeoutMs: 0 });
        for await (const response of responses) {
          last = response;
          if (output.isJson) output.jsonLine(RebuildViewsResponseSchema, response);
          else output.progress(progressText(response));
        }
        if (last?.done !== true) throw new CommandError("it broke off; start it again");
        if (!output.isJson) output.line(progressText(last));
        return last.streamsFailed > 0n ? CLIENT_EXIT_CODES.failed : undefined;
      });
    });
}
