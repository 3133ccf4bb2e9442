/** `keelson process watch`: a process, or all of the namespace, as things happen. */
import { create } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import {
  type ProcessChange,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
  type WatchProcessesResponse,
  WatchProcessesResponseSchema,
} from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  bigCountOption,
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  usageError,
  type Workplace,
} from "../client/client-command.ts";
import { type Failure, statusName } from "../client/failure.ts";
import { enumWord, formatTime, printable } from "../client/format.ts";
import { ProcessState } from "../../../gen/keelson/process/v1/messages_pb.ts";
import { followStream } from "./follow-stream.ts";
import { eventLine } from "./process-view.ts";

/** What the options say. */
interface WatchFlags extends ClientFlags {
  readonly after?: bigint;
  readonly fromStart?: boolean;
  readonly type?: string;
  readonly cursor?: string;
  readonly kind?: string;
  readonly initial?: boolean;
}

function changeLine({ process, pruned, initial }: ProcessChange): string {
  const { processId = "", state = 0, lastSequence = 0n, updatedAt } = process ?? {};
  const what = pruned ? "pruned" : enumWord(ProcessState, state);
  const mark = initial ? "  (there already)" : "";
  return `${formatTime(updatedAt)}  ${printable(processId)}  ${what}  ${lastSequence}${mark}`;
}

/** A signal that fires when the user ends the command. */
function endedByUser(): AbortSignal {
  const ended = new AbortController();
  process.once("SIGINT", () => ended.abort());
  process.once("SIGTERM", () => ended.abort());
  return ended.signal;
}

function troubleTo({ output }: Workplace) {
  return ({ reason, code }: Failure): void => {
    output.note(`-- the stream broke off (${reason || statusName(code)}), resuming`);
  };
}

/** Follows one process; it is over when the process was pruned. */
async function followOne(
  workplace: Workplace,
  processId: string,
  flags: WatchFlags,
): Promise<void> {
  const { connection, output } = workplace;
  const place = await followStream<WatchEventsResponse, bigint>({
    begin: flags.fromStart ? 0n : flags.after,
    open: (after, options) =>
      connection.processes.watchEvents(
        {
          processId,
          eventTypes: flags.type?.split(",") ?? [],
          ...(after === undefined ? {} : { afterSequence: after }),
        },
        options,
      ),
    placeOf: ({ message }) => {
      if (message.case === "end") return message.value.resumeAfterSequence;
      return message.value?.sequence;
    },
    placeOfOverflow: ({ sequence }) => (sequence === undefined ? undefined : BigInt(sequence)),
    onMessage: ({ message }) => {
      if (message.case !== "event") return;
      if (output.isJson) {
        const shown = create(WatchEventsResponseSchema, { message });
        output.jsonLine(WatchEventsResponseSchema, shown);
      } else output.line(eventLine(message.value));
    },
    onTrouble: troubleTo(workplace),
    signal: endedByUser(),
  });
  if (place !== undefined) output.note(`-- go on with --after ${place}`);
}

/** Follows all processes of the namespace. */
async function followAll(workplace: Workplace, flags: WatchFlags): Promise<void> {
  const { connection, output } = workplace;
  const { kind } = flags;
  const place = await followStream<WatchProcessesResponse, string>({
    begin: flags.cursor,
    open: (after, options) =>
      connection.processes.watchProcesses(
        {
          afterCursor: after ?? "",
          includeInitial: after === undefined && flags.initial === true,
          ...(kind === undefined ? {} : { kind }),
        },
        options,
      ),
    placeOf: ({ message }) => {
      if (message.case === "bookmark") return message.value.cursor;
      return message.case === "end" ? message.value.resumeAfterCursor : undefined;
    },
    placeOfOverflow: () => undefined,
    onMessage: ({ message }) => {
      if (output.isJson) {
        const shown = create(WatchProcessesResponseSchema, { message });
        output.jsonLine(WatchProcessesResponseSchema, shown);
      } else if (message.case === "change") output.line(changeLine(message.value));
    },
    onTrouble: troubleTo(workplace),
    signal: endedByUser(),
  });
  if (place !== undefined) output.note(`-- go on with --cursor ${place}`);
}

/** Makes the command. */
export function makeProcessWatchCommand(): Command {
  return makeClientCommand("watch", "follow a process, or all processes")
    .argument("[process]", "name of the process; all of the namespace when left out")
    .option("--after <sequence>", "one process: begin behind this event", bigCountOption)
    .addOption(
      new Option("--from-start", "one process: begin at the first event").conflicts("after"),
    )
    .option("--type <words>", "one process: only events of these types, separated by commas")
    .option("--cursor <cursor>", "all processes: go on where another watch ended")
    .option("--kind <name>", "all processes: only of this kind")
    .option("--initial", "all processes: show what runs first")
    .addHelpText(
      "after",
      `
Begins at the present unless told otherwise. A lost connection is taken up again where it broke.
Ctrl-C ends it with 0 and says where to go on. With -o json every message is one line.
${examples(
  ["keelson process watch index-7 --from-start", "everything that happened, and happens"],
  ["keelson process watch --initial --kind indexer", "what runs, and what becomes of it"],
  ["keelson process watch -o json", "changes and cursors of the namespace, for scripts"],
)}`,
    )
    .action(async (processId: string | undefined, flags: WatchFlags) => {
      await runClient(flags, async (workplace) => {
        if (processId === undefined) await followAll(workplace, flags);
        else if (flags.cursor !== undefined || flags.kind !== undefined) {
          throw usageError("--cursor and --kind are for a watch of all processes.");
        } else await followOne(workplace, processId, flags);
        return undefined;
      });
    });
}
