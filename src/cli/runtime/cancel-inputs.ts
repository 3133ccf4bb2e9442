/** `keelson runtime cancel-inputs`: takes back inputs that wait. */
import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { AbandonReason } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  type CancelInputResult,
  type CancelInputsRequestSchema,
  type CancelInputsResponse,
  CancelInputsResponseSchema,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  usageError,
  type Workplace,
} from "../client/client-command.ts";
import { confirm, type ConfirmFlags, withConfirmation } from "../client/confirmation.ts";
import { enumWord, printable } from "../client/format.ts";
import type { Cell, Column } from "../client/table.ts";

/** Results that are shown before the question; the counts say how many there are. */
const SHOWN_MAX = 20;

/** What the options say. */
interface CancelFlags extends ClientFlags, ConfirmFlags {
  readonly key?: readonly string[];
  readonly from?: string;
  readonly fromKey?: string;
  readonly dryRun?: boolean;
  readonly reason?: string;
}

type CancelRequest = MessageInitShape<typeof CancelInputsRequestSchema>;
type Selection = NonNullable<CancelRequest["selection"]>;

function byId(value: string) {
  return { target: { case: "inputId", value } } as const;
}

function byKey(value: string) {
  return { target: { case: "idempotencyKey", value } } as const;
}

/** The inputs that the command line names. */
function selectionOf(inputIds: readonly string[], flags: CancelFlags): Selection {
  const { key = [], from, fromKey } = flags;
  const targets = [...inputIds.map(byId), ...key.map(byKey)];
  const anchors = [...(from ? [byId(from)] : []), ...(fromKey ? [byKey(fromKey)] : [])];
  const [anchor] = anchors;
  if (anchors.length + (targets.length > 0 ? 1 : 0) !== 1) {
    throw usageError("Name inputs by ids and --key, or an anchor by --from or --from-key.");
  }
  return anchor === undefined
    ? { case: "targets", value: { targets } }
    : { case: "suffixFrom", value: anchor };
}

/** What became of an input, for people. */
function outcomeCell({ outcome }: CancelInputResult): Cell {
  switch (outcome.case) {
    case "cancelled":
      return { text: "cancelled", colour: "green" };
    case "alreadyClaimed":
      return `claimed by run ${outcome.value.runId}`;
    case "alreadyCompleted": {
      const end = outcome.value.outcome;
      const why = end.case === "abandoned" ? `: ${enumWord(AbandonReason, end.value.reason)}` : "";
      return { text: `over: ${end.case ?? "-"}${why}`, colour: "dim" };
    }
    case "alreadyCancelled":
      return { text: "cancelled before", colour: "dim" };
    case "notFound":
    case "anchorNotFound":
      return { text: "not found", colour: "red" };
    case undefined:
      return "-";
  }
}

const COLUMNS: readonly Column<CancelInputResult>[] = [
  { title: "INPUT", cell: ({ inputId }) => printable(inputId) || "-" },
  { title: "KEY", cell: ({ idempotencyKey }) => printable(idempotencyKey) || "-" },
  { title: "OUTCOME", cell: outcomeCell },
];

function countFacts(response: CancelInputsResponse): readonly (readonly [string, Cell])[] {
  return [
    ["cancelled", response.cancelledCount],
    ["claimed by a run", response.alreadyClaimedCount],
    ["over already", response.alreadyOverCount],
    ["not found", response.notFoundCount],
  ];
}

function showPlan({ output }: Workplace, plan: CancelInputsResponse): void {
  output.noteTable(COLUMNS, plan.results.slice(0, SHOWN_MAX));
  const more = plan.results.length - SHOWN_MAX;
  if (more > 0) output.note(`and ${more} more`);
  output.note("\nWhat would be done:");
  output.noteFacts(countFacts(plan));
}

async function perform(
  workplace: Workplace,
  runtimeId: string,
  inputIds: readonly string[],
  flags: CancelFlags,
): Promise<void> {
  const { connection, output } = workplace;
  const { reason = "", dryRun = false, yes = false } = flags;
  const request = { runtimeId, reason, selection: selectionOf(inputIds, flags) };
  if (!yes && !dryRun) {
    showPlan(workplace, await connection.runtimes.cancelInputs({ ...request, validateOnly: true }));
    await confirm(`Cancel them in ${printable(runtimeId)}?`);
  }
  const terms = dryRun ? { validateOnly: true } : { requestId: randomUUID() };
  const response = await connection.runtimes.cancelInputs({ ...request, ...terms });
  if (output.isJson) output.json(CancelInputsResponseSchema, response);
  else if (dryRun) showPlan(workplace, response);
  else {
    output.table(COLUMNS, response.results, "no inputs");
    output.noteFacts(countFacts(response));
  }
}

function collected(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/** Makes the command. */
export function makeCancelInputsCommand(): Command {
  return withConfirmation(makeClientCommand("cancel-inputs", "take back inputs that wait"))
    .argument("<runtime>", "name of the runtime")
    .argument("[inputs...]", "ids of the inputs")
    .option("--key <key>", "the input with this idempotency key; again for more", collected)
    .option("--from <input>", "this input and every later one")
    .option("--from-key <key>", "the input with this idempotency key and every later one")
    .option("--dry-run", "only show what would be done")
    .option("--reason <text>", "why, for the history and for those who wait")
    .addHelpText(
      "after",
      `
Only what waits is cancelled: an input that a run has claimed is left to the run (interrupt ends
it), one that is over stays as it is. Shows first what would be done, and asks.
${examples(
  ["keelson runtime cancel-inputs agent-1 0190... 0191...", "by their ids"],
  ["keelson runtime cancel-inputs agent-1 --key job-7 --key job-8 --yes", "by their keys, at once"],
  ["keelson runtime cancel-inputs agent-1 --from 0190... --dry-run", "what came after a mistake"],
)}`,
    )
    .action(async (runtimeId: string, inputIds: readonly string[], flags: CancelFlags) => {
      await runClient(flags, async (workplace) => {
        await perform(workplace, runtimeId, inputIds, flags);
        return undefined;
      });
    });
}
