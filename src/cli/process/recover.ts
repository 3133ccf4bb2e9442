/** `keelson process recover`: a sweep over what runs, after something was lost. */
import type { Command } from "commander";
import {
  ProcessDisposition,
  type RecoveredProcess,
  RecoveryOutcome,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { RecoverProcessesResponseSchema } from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { enumWord, printable } from "../client/format.ts";
import { noteMore, type PageFlags, readPages, withPages } from "../client/pages.ts";
import type { Column } from "../client/table.ts";
import { labelOption } from "../client/value-options.ts";

/** What the options say. */
interface RecoverFlags extends ClientFlags, PageFlags {
  readonly label?: Readonly<Record<string, string>>;
  readonly kind?: string;
  readonly dryRun?: boolean;
}

const COLUMNS: readonly Column<RecoveredProcess>[] = [
  { title: "PROCESS", cell: ({ processId }) => printable(processId) },
  {
    title: "DISPOSITION",
    cell: ({ disposition }) => enumWord(ProcessDisposition, disposition),
  },
  { title: "OUTCOME", cell: ({ outcome }) => enumWord(RecoveryOutcome, outcome) },
];

/** Makes the command. */
export function makeRecoverCommand(): Command {
  const summary = "carry out wishes to abandon, and say who goes on with the other live processes";
  return withPages(makeClientCommand("recover", summary))
    .option("--label <name=value>", "only with this label; again for more", labelOption)
    .option("--kind <name>", "only of this kind")
    .option("--dry-run", "only say what would be done")
    .addHelpText(
      "after",
      examples(
        ["keelson process recover --dry-run --all", "what runs, and who goes on with it"],
        ["keelson process recover --kind build", "after the build farm was lost"],
      ),
    )
    .action(async (flags: RecoverFlags) => {
      const { kind, dryRun: validateOnly = false } = flags;
      const terms = {
        labels: { ...flags.label },
        validateOnly,
        ...(kind === undefined ? {} : { kind }),
      };
      await runClient(flags, async ({ connection, output }) => {
        const response = await readPages(
          flags,
          (page) => connection.processes.recoverProcesses({ ...terms, ...page }),
          ({ processes }) => processes,
        );
        if (output.isJson) output.json(RecoverProcessesResponseSchema, response);
        else output.table(COLUMNS, response.processes, "nothing runs");
        noteMore(output, response);
        return undefined;
      });
    });
}
