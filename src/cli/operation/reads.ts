/** `keelson operation ls`, `get` and `completions`: what there is and what has ended. */
import { type Command, Option } from "commander";
import { OperationKind, OperationStatus } from "../../../gen/keelson/operation/v1/messages_pb.ts";
import {
  GetOperationResponseSchema,
  ListCompletionsResponseSchema,
  ListOperationsResponseSchema,
  WaitCompletionsResponseSchema,
} from "../../../gen/keelson/operation/v1/service_pb.ts";
import {
  bigCountOption,
  type ClientFlags,
  countOption,
  examples,
  makeClientCommand,
  runClient,
  type Workplace,
} from "../client/client-command.ts";
import { enumWords } from "../client/format.ts";
import { waitLong } from "../client/long-wait.ts";
import { noteMore, type PageFlags, readPages, withPages } from "../client/pages.ts";
import { enumsOption } from "../client/value-options.ts";
import {
  COMPLETION_COLUMNS,
  completionLine,
  OPERATION_COLUMNS,
  operationFacts,
  registryText,
  resultText,
} from "./operation-view.ts";

/** What the options of the list say. */
interface ListFlags extends ClientFlags, PageFlags {
  readonly status?: readonly OperationStatus[];
  readonly kind?: readonly OperationKind[];
  readonly active?: boolean;
}

/** What the options of the feed say. */
interface FeedFlags extends ClientFlags {
  readonly after: bigint;
  readonly limit: number;
  readonly follow?: boolean;
}

const FEED_ROWS = 100;

/** Makes `keelson operation ls`. */
export function makeOperationListCommand(): Command {
  const statuses = `only in these: ${enumWords(OperationStatus).join(", ")}`;
  const kinds = `only of these: ${enumWords(OperationKind).join(", ")}`;
  return withPages(makeClientCommand("ls", "list the registry of operations of a runtime"))
    .alias("list")
    .argument("<runtime>", "name of the runtime")
    .addOption(new Option("--status <words>", statuses).argParser(enumsOption(OperationStatus)))
    .addOption(new Option("--kind <words>", kinds).argParser(enumsOption(OperationKind)))
    .option("--active", "only those that have not ended")
    .option("--no-active", "only those that have ended")
    .addHelpText(
      "after",
      examples(
        ["keelson operation ls agent-1", "what is at work, and what ended lately"],
        ["keelson operation ls agent-1 --active", "what is at work"],
        ["keelson operation ls agent-1 --status failed -o json", "for scripts"],
      ),
    )
    .action(async (runtimeId: string, flags: ListFlags) => {
      const filter = {
        statuses: [...(flags.status ?? [])],
        kinds: [...(flags.kind ?? [])],
        ...(flags.active === undefined ? {} : { active: flags.active }),
      };
      await runClient(flags, async ({ connection, output }) => {
        const response = await readPages(
          flags,
          (page) => connection.operations.listOperations({ runtimeId, filter, ...page }),
          ({ operations }) => operations,
        );
        if (output.isJson) output.json(ListOperationsResponseSchema, response);
        else {
          output.table(OPERATION_COLUMNS, response.operations, "no operations");
          if (response.registry !== undefined) output.note(registryText(response.registry));
        }
        noteMore(output, response);
        return undefined;
      });
    });
}

/** Makes `keelson operation get`. */
export function makeOperationGetCommand(): Command {
  return makeClientCommand("get", "show an operation, and its result when it has one")
    .argument("<runtime>", "name of the runtime")
    .argument("<operation>", "id of the operation, also of one that ended long ago")
    .addHelpText(
      "after",
      examples(
        ["keelson operation get agent-1 build-7", "all there is to know"],
        ["keelson operation get agent-1 build-7 -o json", "for scripts, with the whole result"],
      ),
    )
    .action(async (runtimeId: string, operationId: string, flags: ClientFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.operations.getOperation({ runtimeId, operationId });
        const { operation } = response;
        if (output.isJson) output.json(GetOperationResponseSchema, response);
        else if (operation !== undefined) {
          output.facts(operationFacts(operation));
          const result = resultText(operation);
          if (result !== undefined) output.line(`\n${result}`);
        }
        return undefined;
      });
    });
}

/** Prints the feed as it grows until the time is up; without one for ever. */
async function follow(
  { connection, output }: Workplace,
  runtimeId: string,
  flags: FeedFlags,
): Promise<void> {
  const endMs = performance.now() + (flags.timeout ?? Number.POSITIVE_INFINITY);
  for (let afterSequence = flags.after; performance.now() < endMs; ) {
    const request = { runtimeId, afterSequence, includeResults: true };
    const response = await waitLong({
      call: (timeout, options) =>
        connection.operations.waitCompletions({ ...request, timeout }, options),
      isOver: ({ completions }) => completions.length > 0,
      patienceMs: flags.timeout === undefined ? undefined : endMs - performance.now(),
    });
    if (output.isJson) output.jsonLine(WaitCompletionsResponseSchema, response);
    else for (const completion of response.completions) output.line(completionLine(completion));
    afterSequence = response.completions.at(-1)?.completionSequence ?? afterSequence;
  }
}

/** Makes `keelson operation completions`. */
export function makeCompletionsCommand(): Command {
  return makeClientCommand("completions", "list the operations of a runtime that have ended")
    .argument("<runtime>", "name of the runtime")
    .addOption(
      new Option("--after <sequence>", "only behind this completion")
        .argParser(bigCountOption)
        .default(0n, "0"),
    )
    .addOption(
      new Option("--limit <number>", "most entries").argParser(countOption).default(FEED_ROWS),
    )
    .option("--follow", "go on as operations end, until --timeout or for ever")
    .addHelpText(
      "after",
      examples(
        ["keelson operation completions agent-1", "the first hundred, in the order of their ends"],
        ["keelson operation completions agent-1 --after 120", "what came after"],
        ["keelson operation completions agent-1 --follow", "each one as it ends"],
      ),
    )
    .action(async (runtimeId: string, flags: FeedFlags) => {
      await runClient(flags, async (workplace) => {
        const { connection, output } = workplace;
        if (flags.follow === true) {
          await follow(workplace, runtimeId, flags);
          return undefined;
        }
        const response = await connection.operations.listCompletions({
          runtimeId,
          afterSequence: flags.after,
          pageSize: flags.limit,
          includeResults: true,
        });
        if (output.isJson) output.json(ListCompletionsResponseSchema, response);
        else output.table(COMPLETION_COLUMNS, response.completions, "no completions");
        return undefined;
      });
    });
}
