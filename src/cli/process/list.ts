/** `keelson process ls`: the processes of the namespace. */
import { type Command, Option } from "commander";
import { ProcessDisposition, ProcessState } from "../../../gen/keelson/process/v1/messages_pb.ts";
import { ListProcessesResponseSchema } from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { enumWords } from "../client/format.ts";
import { noteMore, type PageFlags, readPages, withPages } from "../client/pages.ts";
import { enumsOption, labelOption } from "../client/value-options.ts";
import { PROCESS_COLUMNS } from "./process-view.ts";

/** What the options say. */
interface ListFlags extends ClientFlags, PageFlags {
  readonly state?: readonly ProcessState[];
  readonly label?: Readonly<Record<string, string>>;
  readonly kind?: string;
  readonly disposition?: readonly ProcessDisposition[];
  readonly session?: string;
  readonly claimable?: boolean;
  readonly waiting?: boolean;
}

const STATE_WORDS = enumWords(ProcessState).join(", ");
const DISPOSITION_WORDS = enumWords(ProcessDisposition).join(", ");

/** Makes the command. */
export function makeProcessListCommand(): Command {
  return withPages(makeClientCommand("ls", "list processes"))
    .alias("list")
    .addOption(
      new Option("--state <words>", `in these states instead of running: ${STATE_WORDS}`).argParser(
        enumsOption(ProcessState),
      ),
    )
    .option("--label <name=value>", "only with this label; again for more", labelOption)
    .option("--kind <name>", "only of this kind")
    .addOption(
      new Option("--disposition <words>", `only with these: ${DISPOSITION_WORDS}`).argParser(
        enumsOption(ProcessDisposition),
      ),
    )
    .option("--session <id>", "only those that this session wanted")
    .option("--claimable", "only those that a worker could claim now")
    .option("--waiting", "only those that said what they wait for")
    .addHelpText(
      "after",
      examples(
        ["keelson process ls", "what runs, by name"],
        ["keelson process ls --kind indexer --claimable", "what waits for a worker"],
        ["keelson process ls --state failed,abandoned --all", "what ended badly"],
        ["keelson process ls --session chat-1 -o json", "what a session wanted, for scripts"],
      ),
    )
    .action(async (flags: ListFlags) => {
      const { kind, session, claimable, waiting } = flags;
      const filter = {
        states: [...(flags.state ?? [])],
        labels: { ...flags.label },
        dispositions: [...(flags.disposition ?? [])],
        ...(kind === undefined ? {} : { kind }),
        ...(session === undefined ? {} : { originatorSessionId: session }),
        ...(claimable === undefined ? {} : { claimable }),
        ...(waiting === undefined ? {} : { waiting }),
      };
      await runClient(flags, async ({ connection, output }) => {
        const response = await readPages(
          flags,
          (page) => connection.processes.listProcesses({ filter, ...page }),
          ({ processes }) => processes,
        );
        if (output.isJson) output.json(ListProcessesResponseSchema, response);
        else output.table(PROCESS_COLUMNS, response.processes, "no processes");
        noteMore(output, response);
        return undefined;
      });
    });
}
