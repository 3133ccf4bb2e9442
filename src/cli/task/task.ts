/** `keelson task`: the commands about background tasks of sessions, for people and scripts. */
import { Command } from "commander";
import { makeTaskRegisterCommand, makeSpawnCommand } from "./begin.ts";
import { makeTaskCancelAllCommand, makeTaskCancelCommand } from "./cancels.ts";
import {
  makeTaskCompleteCommand,
  makeTaskTransferCommand,
  makeTransitionCommand,
  makeUnregisterCommand,
} from "./changes.ts";
import { makeTaskAwaitCommand, makeTaskGetCommand, makeTaskListCommand } from "./reads.ts";

/** Makes the group of commands. */
export function makeTaskCommand(): Command {
  const group = new Command("task").description(
    "begin background tasks of sessions, look at them, report, cancel and hand them over",
  );
  const commands = [
    makeTaskListCommand(),
    makeTaskGetCommand(),
    makeSpawnCommand(),
    makeTaskRegisterCommand(),
    makeTransitionCommand(),
    makeTaskCompleteCommand(),
    makeTaskCancelCommand(),
    makeTaskCancelAllCommand(),
    makeTaskAwaitCommand(),
    makeTaskTransferCommand(),
    makeUnregisterCommand(),
  ];
  for (const command of commands) group.addCommand(command);
  return group;
}
