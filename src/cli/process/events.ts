/** `keelson process events`: the history of a process. */
import type { Command } from "commander";
import { ListEventsResponseSchema } from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  bigCountOption,
  type ClientFlags,
  countOption,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { EVENT_COLUMNS } from "./process-view.ts";

const ROWS_DEFAULT = 100;

/** What the options say. */
interface EventsFlags extends ClientFlags {
  readonly after?: bigint;
  readonly through?: bigint;
  readonly type?: string;
  readonly limit?: number;
  readonly latest?: boolean;
}

/** Makes the command. */
export function makeEventsCommand(): Command {
  return makeClientCommand("events", "list the events of a process")
    .argument("<process>", "name of the process")
    .option("--after <sequence>", "only those behind this one", bigCountOption)
    .option("--through <sequence>", "only those up to this one", bigCountOption)
    .option("--type <words>", "only of these types, separated by commas")
    .option("--limit <number>", `most rows, up to 1000 (${ROWS_DEFAULT})`, countOption)
    .option("--latest", "the last ones instead of the first ones")
    .addHelpText(
      "after",
      examples(
        ["keelson process events index-7", "from the beginning"],
        ["keelson process events index-7 --latest --limit 10", "the last ten"],
        ["keelson process events index-7 --after 50000 --type progress", "out of the middle"],
      ),
    )
    .action(async (processId: string, flags: EventsFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.processes.listEvents({
          processId,
          afterSequence: flags.after ?? 0n,
          ...(flags.through === undefined ? {} : { throughSequence: flags.through }),
          eventTypes: flags.type?.split(",") ?? [],
          pageSize: flags.limit ?? ROWS_DEFAULT,
          latest: flags.latest ?? false,
        });
        if (output.isJson) output.json(ListEventsResponseSchema, response);
        else output.table(EVENT_COLUMNS, response.events, "no events");
        const { isEnd, nextAfterSequence } = response;
        const onward = flags.latest === true ? "--latest --through" : "--after";
        if (!isEnd && !output.isJson) output.note(`There is more: ${onward} ${nextAfterSequence}`);
        return undefined;
      });
    });
}
