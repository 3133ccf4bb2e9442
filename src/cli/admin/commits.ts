/** `keelson admin commits`: the history of a stream, each commit exactly as it was hashed. */
import type { Command } from "commander";
import type { Commit } from "../../../gen/keelson/admin/v1/messages_pb.ts";
import { ListCommitsResponseSchema } from "../../../gen/keelson/admin/v1/service_pb.ts";
import {
  bigCountOption,
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES } from "../client/exit-codes.ts";
import { formatTime } from "../client/format.ts";
import { noteMore, type PageFlags, readPages, withPages } from "../client/pages.ts";
import type { Column } from "../client/table.ts";
import { type ChainProblem, makeChainCheck } from "./chain-check.ts";
import { type StreamFlags, withStream } from "./stream-reference.ts";

const HASH_CHARACTERS = 12;

/** What the options say. */
interface CommitFlags extends ClientFlags, PageFlags, StreamFlags {
  readonly after?: bigint;
  readonly raw?: boolean;
}

/** A commit with what the check of its hash found. */
interface CheckedCommit {
  readonly commit: Commit;
  readonly problem: ChainProblem;
}

const COLUMNS: readonly Column<CheckedCommit>[] = [
  { title: "REVISION", align: "right", cell: ({ commit }) => commit.revision },
  { title: "TIME", cell: ({ commit }) => formatTime(commit.at) },
  { title: "HASH", cell: ({ commit }) => commit.hash.slice(0, HASH_CHARACTERS) },
  {
    title: "CHECK",
    cell: ({ problem }) =>
      problem === "" ? { text: "good", colour: "green" } : { text: problem, colour: "red" },
  },
  { title: "BYTES", align: "right", cell: ({ commit }) => Buffer.byteLength(commit.canonicalJson) },
];

/** Makes the command. */
export function makeCommitsCommand(): Command {
  return withPages(withStream(makeClientCommand("commits", "list the commits of a stream")))
    .option("--after <revision>", "only those behind this revision", bigCountOption)
    .option("--raw", "only the canonical JSON, one commit per line, payloads included")
    .addHelpText(
      "after",
      `
The hash of every commit is computed here again and compared, with the chain to the one before.
${examples(
  ["keelson admin commits agent-1", "the first hundred"],
  ["keelson admin commits agent-1 --all --raw > agent-1.jsonl", "the whole history"],
)}`,
    )
    .action(async (id: string, flags: CommitFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const stream = { kind: flags.kind, id };
        const afterRevision = flags.after ?? 0n;
        const response = await readPages(
          flags,
          (page) => connection.admin.listCommits({ stream, afterRevision, ...page }),
          ({ commits }) => commits,
        );
        const check = makeChainCheck();
        const checked = response.commits.map((commit) => ({ commit, problem: check.next(commit) }));
        if (flags.raw) for (const { canonicalJson } of response.commits) output.line(canonicalJson);
        else if (output.isJson) output.json(ListCommitsResponseSchema, response);
        else output.table(COLUMNS, checked, "no commits");
        noteMore(output, response);
        const bad = checked.find(({ problem }) => problem !== "");
        if (bad === undefined) return undefined;
        output.note(`error: revision ${bad.commit.revision}: ${bad.problem}`);
        return CLIENT_EXIT_CODES.failed;
      });
    });
}
