/** `keelson admin`: the commands about the server and the streams as they are stored. */
import { Command } from "commander";
import { makeCommitsCommand } from "./commits.ts";
import { makeInfoCommand } from "./info.ts";
import { makeRebuildViewsCommand } from "./rebuild-views.ts";
import { makeReplicasCommand } from "./replicas.ts";
import { makeStreamCommand } from "./stream.ts";

/** Makes the group of commands. */
export function makeAdminCommand(): Command {
  return new Command("admin")
    .description("look at the server and at what is stored")
    .addCommand(makeInfoCommand())
    .addCommand(makeReplicasCommand())
    .addCommand(makeStreamCommand())
    .addCommand(makeCommitsCommand())
    .addCommand(makeRebuildViewsCommand());
}
