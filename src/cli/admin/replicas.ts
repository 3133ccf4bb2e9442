/** `keelson admin replicas`: the processes of the control plane that share the database. */
import type { Command } from "commander";
import type { Replica } from "../../../gen/keelson/admin/v1/messages_pb.ts";
import { ListReplicasResponseSchema } from "../../../gen/keelson/admin/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { formatAge, printable } from "../client/format.ts";
import { noteMore, type PageFlags, readPages, withPages } from "../client/pages.ts";
import type { Column } from "../client/table.ts";

const COLUMNS: readonly Column<Replica>[] = [
  { title: "REPLICA", cell: ({ replicaId }) => replicaId },
  { title: "ADDRESS", cell: ({ address }) => printable(address) || "-" },
  { title: "VERSION", cell: ({ version }) => printable(version) },
  {
    title: "ALIVE",
    cell: ({ live }) => (live ? { text: "yes", colour: "green" } : { text: "no", colour: "red" }),
  },
  { title: "STARTED", align: "right", cell: ({ startedAt }) => formatAge(startedAt) },
  { title: "SEEN", align: "right", cell: ({ lastSeenAt }) => formatAge(lastSeenAt) },
  { title: "", cell: ({ thisReplica }) => (thisReplica ? "answers" : "") },
];

/** Makes the command. */
export function makeReplicasCommand(): Command {
  return withPages(makeClientCommand("replicas", "list the replicas, dead ones of an hour too"))
    .addHelpText("after", examples(["keelson admin replicas", "who lives, and who answered"]))
    .action(async (flags: ClientFlags & PageFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await readPages(
          flags,
          (page) => connection.admin.listReplicas(page),
          ({ replicas }) => replicas,
        );
        if (output.isJson) output.json(ListReplicasResponseSchema, response);
        else output.table(COLUMNS, response.replicas, "no replicas");
        noteMore(output, response);
        return undefined;
      });
    });
}
