/** `keelson runtime`: the commands about runtimes, for people and scripts. */
import { Command } from "commander";
import { makeEnsureCommand } from "./ensure.ts";
import { makeGetCommand } from "./get.ts";
import { makeListCommand } from "./list.ts";
import { makePublishCommand } from "./publish.ts";
import { makeReceiptsCommand } from "./receipts.ts";
import { makeVerifyCommand } from "./verify.ts";

/** Makes the group of commands. */
export function makeRuntimeCommand(): Command {
  return new Command("runtime")
    .description("look at runtimes, feed them and move them through their lives")
    .addCommand(makeListCommand())
    .addCommand(makeGetCommand())
    .addCommand(makeEnsureCommand())
    .addCommand(makePublishCommand())
    .addCommand(makeReceiptsCommand())
    .addCommand(makeVerifyCommand());
}
