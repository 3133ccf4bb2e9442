/** `keelson runtime watch`: what happens to a runtime, as it happens, over lost connections. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { RuntimeEventCategory } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  WatchGapReason,
  type WatchRuntimeResponse,
  WatchRuntimeResponseSchema,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { create } from "@bufbuild/protobuf";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { type Failure, statusName } from "../client/failure.ts";
import { enumWord, enumWords } from "../client/format.ts";
import type { Output } from "../client/output.ts";
import { enumsOption } from "../client/value-options.ts";
import { eventLine } from "./event-view.ts";
import { runtimeFacts } from "./runtime-view.ts";
import { followRuntime, placeText, type WatchPlace } from "./watch-stream.ts";

const PLACE = /^(\d{1,15})(?::(\d{1,9}))?$/;

/** What the options say. */
interface WatchFlags extends ClientFlags {
  readonly after?: WatchPlace;
  readonly fromStart?: boolean;
  readonly category?: readonly RuntimeEventCategory[];
  readonly initial?: boolean;
  readonly bookmarks?: boolean;
}

function placeOption(text: string): WatchPlace {
  const [, revision, index] = PLACE.exec(text) ?? [];
  if (revision === undefined) throw new InvalidArgumentError("Write it like 12 or 12:3.");
  return { revision: BigInt(revision), ...(index === undefined ? {} : { index: Number(index) }) };
}

function showMessage(
  output: Output,
  message: WatchRuntimeResponse["message"],
  showsBookmarks: boolean,
): void {
  if (message.case === "bookmark" && !showsBookmarks) return;
  if (output.isJson) {
    output.jsonLine(WatchRuntimeResponseSchema, create(WatchRuntimeResponseSchema, { message }));
    return;
  }
  switch (message.case) {
    case "event":
      output.line(eventLine(message.value));
      return;
    case "initial":
      if (message.value.runtime !== undefined) output.facts(runtimeFacts(message.value.runtime));
      return;
    case "gap": {
      const { fromRevision, toRevision, reason } = message.value;
      const why = enumWord(WatchGapReason, reason);
      output.line(`-- missing: revisions ${fromRevision} to ${toRevision} (${why})`);
      return;
    }
    case "bookmark":
      output.line(`-- up to revision ${message.value.revision}`);
      return;
    case "end":
    case undefined:
  }
}

/** A signal that fires when the user ends the command. */
function endedByUser(): AbortSignal {
  const ended = new AbortController();
  process.once("SIGINT", () => ended.abort());
  process.once("SIGTERM", () => ended.abort());
  return ended.signal;
}

/** Makes the command. */
export function makeWatchCommand(): Command {
  const categories = enumWords(RuntimeEventCategory).join(", ");
  return makeClientCommand("watch", "follow what happens to a runtime")
    .argument("<runtime>", "name of the runtime")
    .option(
      "--after <place>",
      "begin behind this place: a revision, or revision:index",
      placeOption,
    )
    .addOption(
      new Option("--from-start", "begin at the beginning of the history").conflicts("after"),
    )
    .addOption(
      new Option("--category <words>", `only these: ${categories}`).argParser(
        enumsOption(RuntimeEventCategory),
      ),
    )
    .option("--initial", "show the runtime first")
    .option("--bookmarks", "show how far the stream is when nothing happens")
    .addHelpText(
      "after",
      `
Begins at the present unless told otherwise. A lost connection is taken up again where it broke.
Ctrl-C ends it with 0 and says where to go on. With -o json every message is one line.
${examples(
  ["keelson runtime watch agent-1", "from now on"],
  ["keelson runtime watch agent-1 --from-start --category run_lifecycle", "all runs there were"],
  ["keelson runtime watch agent-1 --after 12:3 -o json", "go on where another watch ended"],
)}`,
    )
    .action(async (runtimeId: string, flags: WatchFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const after = flags.fromStart ? { revision: 0n } : flags.after;
        const onTrouble = ({ reason, code }: Failure): void => {
          output.note(`-- the stream broke off (${reason || statusName(code)}), resuming`);
        };
        const { type, place } = await followRuntime({
          connection,
          runtimeId,
          categories: flags.category ?? [],
          includeInitial: flags.initial ?? false,
          ...(after === undefined ? {} : { after }),
          onMessage: (message) => showMessage(output, message, flags.bookmarks ?? false),
          onTrouble,
          signal: endedByUser(),
        });
        if (type === "destroyed") output.note("-- the runtime was destroyed");
        else if (place !== undefined) output.note(`-- go on with --after ${placeText(place)}`);
        return undefined;
      });
    });
}
