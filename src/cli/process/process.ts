/** `keelson process`: the commands about processes, for people and scripts. */
import { Command } from "commander";
import { makeAppendCommand } from "./append.ts";
import { makeProcessAwaitCommand } from "./await.ts";
import { makeProcessCancelCommand } from "./cancel.ts";
import { makeClaimCommand } from "./claim.ts";
import { makeCompleteCommand } from "./complete.ts";
import { makeEventsCommand } from "./events.ts";
import { makeProcessGetCommand } from "./get.ts";
import { makeGrantsCommand } from "./grants.ts";
import { makeProcessListCommand } from "./list.ts";
import { makeRecoverCommand } from "./recover.ts";
import { makeRegisterCommand } from "./register.ts";
import { makeTransferCommand } from "./transfer.ts";
import { makeWaitCommand } from "./wait.ts";
import { makeProcessWatchCommand } from "./watch.ts";

/** Makes the group of commands. */
export function makeProcessCommand(): Command {
  const group = new Command("process").description(
    "register processes, look at them, feed and end them, and say who may address them",
  );
  const commands = [
    makeProcessListCommand(),
    makeProcessGetCommand(),
    makeRegisterCommand(),
    makeEventsCommand(),
    makeAppendCommand(),
    makeWaitCommand(),
    makeProcessAwaitCommand(),
    makeClaimCommand(),
    makeCompleteCommand(),
    makeProcessCancelCommand(),
    makeRecoverCommand(),
    makeGrantsCommand(),
    makeTransferCommand(),
    makeProcessWatchCommand(),
  ];
  for (const command of commands) group.addCommand(command);
  return group;
}
