/** Reads lists page by page, up to as many rows as were asked for. */
import { type Command, Option } from "commander";
import { countOption } from "./client-command.ts";
import type { Output } from "./output.ts";

const ROWS_DEFAULT = 100;
const PAGE_SIZE_MAX = 1_000;

/** What the options of a list say. */
export interface PageFlags {
  readonly limit: number;
  readonly all?: boolean;
  readonly pageToken?: string;
}

/** Adds the options of a list. */
export function withPages(command: Command): Command {
  return command
    .addOption(
      new Option("--limit <number>", "most rows").argParser(countOption).default(ROWS_DEFAULT),
    )
    .option("--all", "all rows, however many")
    .option("--page-token <token>", "go on where a list ended");
}

/** A page as every list RPC answers it. */
interface Page {
  nextPageToken: string;
}

/** Reads pages until there are enough rows. */
export async function readPages<Response extends Page>(
  flags: PageFlags,
  read: (page: { readonly pageSize: number; readonly pageToken: string }) => Promise<Response>,
  rowsOf: (response: Response) => unknown[],
): Promise<Response> {
  const wanted = flags.all ? Number.POSITIVE_INFINITY : Math.max(1, flags.limit);
  const first = await read({
    pageSize: Math.min(PAGE_SIZE_MAX, wanted),
    pageToken: flags.pageToken ?? "",
  });
  const rows = rowsOf(first);
  while (first.nextPageToken !== "" && rows.length < wanted) {
    const pageSize = Math.min(PAGE_SIZE_MAX, wanted - rows.length);
    const next = await read({ pageSize, pageToken: first.nextPageToken });
    rows.push(...rowsOf(next));
    first.nextPageToken = next.nextPageToken;
  }
  return first;
}

/** Says that there is more, and how to get it. */
export function noteMore(output: Output, { nextPageToken }: Page): void {
  if (nextPageToken === "" || output.isJson) return;
  output.note(`There is more: --all, or --page-token ${nextPageToken}`);
}
