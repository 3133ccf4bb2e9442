/** `keelson runtime ls`: the runtimes of the namespace. */
import { type Command, Option } from "commander";
import { RuntimeState } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { ListRuntimesResponseSchema } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { enumWords } from "../client/format.ts";
import { noteMore, type PageFlags, readPages, withPages } from "../client/pages.ts";
import { enumsOption, labelOption } from "../client/value-options.ts";
import { RUNTIME_COLUMNS } from "./runtime-view.ts";

/** What the options say. */
interface ListFlags extends ClientFlags, PageFlags {
  readonly state?: readonly RuntimeState[];
  readonly label?: Readonly<Record<string, string>>;
  readonly pool?: string;
  readonly runnable?: boolean;
  readonly unregistered?: boolean;
}

/** Makes the command. */
export function makeListCommand(): Command {
  return withPages(makeClientCommand("ls", "list runtimes"))
    .alias("list")
    .addOption(
      new Option(
        "--state <words>",
        `only in these states: ${enumWords(RuntimeState).join(", ")}`,
      ).argParser(enumsOption(RuntimeState)),
    )
    .option("--label <name=value>", "only with this label; again for more", labelOption)
    .option("--pool <name>", "only of this pool")
    .option("--runnable", "only those that an executor could run now")
    .option("--no-runnable", "only those that no executor could run now")
    .option("--unregistered", "those taken out of registration instead")
    .addHelpText(
      "after",
      examples(
        ["keelson runtime ls", "the first hundred, by name"],
        ["keelson runtime ls --state stopped,retired", "in one of these states"],
        ["keelson runtime ls --pool text --runnable", "what waits for an executor"],
        ["keelson runtime ls --all -o json", "all of them, for scripts"],
      ),
    )
    .action(async (flags: ListFlags) => {
      const { pool, runnable } = flags;
      const filter = {
        states: [...(flags.state ?? [])],
        labels: { ...flags.label },
        registered: flags.unregistered !== true,
        ...(pool === undefined ? {} : { pool }),
        ...(runnable === undefined ? {} : { runnable }),
      };
      await runClient(flags, async ({ connection, output }) => {
        const response = await readPages(
          flags,
          (page) => connection.runtimes.listRuntimes({ filter, ...page }),
          ({ runtimes }) => runtimes,
        );
        if (output.isJson) output.json(ListRuntimesResponseSchema, response);
        else output.table(RUNTIME_COLUMNS, response.runtimes, "no runtimes");
        noteMore(output, response);
        return undefined;
      });
    });
}
