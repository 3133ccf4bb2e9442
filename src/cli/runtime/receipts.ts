/** `keelson runtime receipts`: the proofs that inputs were applied. */
import type { Command } from "commander";
import {
  RunApplyBoundary,
  type RunBoundaryReceipt,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  ListBoundaryReceiptsResponseSchema,
  LoadBoundaryReceiptResponseSchema,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import {
  bigCountOption,
  type ClientFlags,
  CommandError,
  examples,
  makeClientCommand,
  runClient,
  usageError,
  type Workplace,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES } from "../client/exit-codes.ts";
import { enumWord, formatAge } from "../client/format.ts";
import { noteMore, type PageFlags, readPages, withPages } from "../client/pages.ts";
import type { Column } from "../client/table.ts";

const HASH_CHARACTERS = 12;

/** What the options say. */
interface ReceiptFlags extends ClientFlags, PageFlags {
  readonly run?: string;
  readonly sequence?: bigint;
}

const COLUMNS: readonly Column<RunBoundaryReceipt>[] = [
  { title: "RUN", cell: ({ runId }) => runId },
  { title: "SEQUENCE", align: "right", cell: ({ sequence }) => sequence },
  { title: "BOUNDARY", cell: ({ boundary }) => enumWord(RunApplyBoundary, boundary) },
  {
    title: "INPUTS",
    align: "right",
    cell: ({ contributingInputIds }) => contributingInputIds.length,
  },
  { title: "MESSAGES", align: "right", cell: ({ messageCount }) => messageCount },
  { title: "REVISION", align: "right", cell: ({ revision }) => revision },
  { title: "COMMIT", cell: ({ commitHash }) => commitHash.slice(0, HASH_CHARACTERS) },
  { title: "AGE", align: "right", cell: ({ committedAt }) => formatAge(committedAt) },
];

async function showOne(
  { connection, output }: Workplace,
  target: { readonly runtimeId: string; readonly runId: string; readonly sequence: bigint },
): Promise<void> {
  const response = await connection.runtimes.loadBoundaryReceipt(target);
  const { receipt } = response;
  if (output.isJson) output.json(LoadBoundaryReceiptResponseSchema, response);
  if (receipt === undefined) {
    throw new CommandError("there is no such receipt", CLIENT_EXIT_CODES.notFound);
  }
  if (!output.isJson) output.table(COLUMNS, [receipt], "");
}

/** Makes the command. */
export function makeReceiptsCommand(): Command {
  return withPages(makeClientCommand("receipts", "list the receipts of a runtime"))
    .argument("<runtime>", "name of the runtime")
    .option("--run <id>", "only those of this run")
    .option("--sequence <number>", "only this one of the run, from 0", bigCountOption)
    .addHelpText(
      "after",
      examples(
        ["keelson runtime receipts agent-1", "the first hundred"],
        [
          "keelson runtime receipts agent-1 --run 0190... --sequence 0",
          "one; 4 when it is not there",
        ],
      ),
    )
    .action(async (runtimeId: string, flags: ReceiptFlags) => {
      await runClient(flags, async (workplace) => {
        const { connection, output } = workplace;
        const { run: runId = "", sequence } = flags;
        if (sequence !== undefined) {
          if (runId === "") throw usageError("--sequence needs --run: it counts within a run.");
          await showOne(workplace, { runtimeId, runId, sequence });
          return undefined;
        }
        const response = await readPages(
          flags,
          (page) => connection.runtimes.listBoundaryReceipts({ runtimeId, runId, ...page }),
          ({ receipts }) => receipts,
        );
        if (output.isJson) output.json(ListBoundaryReceiptsResponseSchema, response);
        else output.table(COLUMNS, response.receipts, "no receipts");
        noteMore(output, response);
        return undefined;
      });
    });
}
