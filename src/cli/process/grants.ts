/** `keelson process grants`: who may address which processes; grants and takes grants away. */
import type { Command } from "commander";
import type { HandleGrant, ProcessScope } from "../../../gen/keelson/process/v1/messages_pb.ts";
import {
  GrantHandleResponseSchema,
  type HandleGrantEntry,
  ListHandleGrantsResponseSchema,
  ListProcessGrantsResponseSchema,
  RevokeHandleResponseSchema,
} from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  usageError,
  type Workplace,
} from "../client/client-command.ts";
import { enumWord, formatAge, printable } from "../client/format.ts";
import { noteMore, type PageFlags, readPages, withPages } from "../client/pages.ts";
import type { Column } from "../client/table.ts";
import { ProcessState } from "../../../gen/keelson/process/v1/messages_pb.ts";

/** What the options say. */
interface GrantsFlags extends ClientFlags, PageFlags {
  readonly session?: string;
  readonly frame?: string;
  readonly process?: string;
  readonly live?: boolean;
  readonly grant?: string;
  readonly revoke?: string;
  readonly label?: string;
}

function scopeText(scope: ProcessScope | undefined): string {
  const { sessionId = "", agentFrameId = "" } = scope ?? {};
  return printable(agentFrameId === "" ? sessionId : `${sessionId}/${agentFrameId}`);
}

const GRANT_COLUMNS: readonly Column<HandleGrant>[] = [
  { title: "SESSION", cell: ({ scope }) => scopeText(scope) },
  { title: "LABEL", cell: ({ descriptor }) => printable(descriptor?.label ?? "") },
  {
    title: "MOVING TO",
    cell: ({ transferringTo }) => (transferringTo ? scopeText(transferringTo) : "-"),
  },
  { title: "AGE", align: "right", cell: ({ grantedAt }) => formatAge(grantedAt) },
];

const ENTRY_COLUMNS: readonly Column<HandleGrantEntry>[] = [
  { title: "PROCESS", cell: ({ grant }) => printable(grant?.processId ?? "") },
  { title: "STATE", cell: ({ process }) => enumWord(ProcessState, process?.state ?? 0) },
  { title: "LABEL", cell: ({ grant }) => printable(grant?.descriptor?.label ?? "") },
  {
    title: "MOVING TO",
    cell: ({ grant }) => (grant?.transferringTo ? scopeText(grant.transferringTo) : "-"),
  },
  { title: "AGE", align: "right", cell: ({ grant }) => formatAge(grant?.grantedAt) },
];

/** Grants of a process, whoever has them. */
async function listOfProcess(
  { connection, output }: Workplace,
  processId: string,
  flags: GrantsFlags,
): Promise<void> {
  const response = await readPages(
    flags,
    (page) => connection.processes.listProcessGrants({ processId, ...page }),
    ({ grants }) => grants,
  );
  if (output.isJson) output.json(ListProcessGrantsResponseSchema, response);
  else output.table(GRANT_COLUMNS, response.grants, "no grants");
  noteMore(output, response);
}

/** What a scope may address, or a change of it. */
async function workOnScope(
  { connection, output }: Workplace,
  sessionId: string,
  flags: GrantsFlags,
): Promise<void> {
  const { grant, revoke, label = "", live = false } = flags;
  const scope = { sessionId, agentFrameId: flags.frame ?? "" };
  if (grant !== undefined) {
    const descriptor = label === "" ? {} : { descriptor: { label } };
    const request = { scope, processId: grant, ...descriptor };
    const response = await connection.processes.grantHandle(request);
    if (output.isJson) output.json(GrantHandleResponseSchema, response);
    else output.line(response.created ? `granted ${printable(grant)}` : "it was granted before");
    return;
  }
  if (revoke !== undefined) {
    const response = await connection.processes.revokeHandle({ scope, processId: revoke });
    if (output.isJson) output.json(RevokeHandleResponseSchema, response);
    else output.line(response.revoked ? `revoked ${printable(revoke)}` : "there was no grant");
    return;
  }
  const response = await readPages(
    flags,
    (page) => connection.processes.listHandleGrants({ scope, liveOnly: live, ...page }),
    ({ entries }) => entries,
  );
  if (output.isJson) output.json(ListHandleGrantsResponseSchema, response);
  else output.table(ENTRY_COLUMNS, response.entries, "no grants");
  noteMore(output, response);
}

/** Makes the command. */
export function makeGrantsCommand(): Command {
  return withPages(makeClientCommand("grants", "show, give and take grants of processes"))
    .option("--session <id>", "what this session may address")
    .option("--frame <id>", "one frame of an agent in the session, which is a scope of its own")
    .option("--process <name>", "who may address this process")
    .option("--live", "only processes that have not ended")
    .option("--grant <process>", "let the session address this process")
    .option("--label <text>", "what the session calls it, with --grant")
    .option("--revoke <process>", "take the grant for this process away")
    .addHelpText(
      "after",
      examples(
        ["keelson process grants --session chat-1 --live", "what a session may address"],
        ["keelson process grants --process index-7", "who may address a process"],
        ["keelson process grants --session chat-1 --grant index-7", "give a grant"],
        ["keelson process grants --session chat-1 --revoke index-7", "take it away"],
      ),
    )
    .action(async (flags: GrantsFlags) => {
      await runClient(flags, async (workplace) => {
        const { session, process: processId } = flags;
        if (session !== undefined && processId === undefined) {
          await workOnScope(workplace, session, flags);
        } else if (processId !== undefined && session === undefined) {
          await listOfProcess(workplace, processId, flags);
        } else throw usageError("Say either --session or --process.");
        return undefined;
      });
    });
}
