/** `keelson operation`: the commands about the operations of a runtime. */
import { Command } from "commander";
import {
  makeCompletionsCommand,
  makeOperationGetCommand,
  makeOperationListCommand,
} from "./reads.ts";
import { makeRegisterCommand } from "./register.ts";
import { makeCollectCommand, makeTerminateOwnerCommand } from "./registry.ts";
import { makeCompleteCommand, makePeerReadyCommand, makeProgressCommand } from "./reports.ts";
import { makePlainStepCommand, PLAIN_STEPS } from "./steps.ts";
import { makeOperationWaitCommand, makeOperationWatchCommand } from "./waits.ts";

/** Makes the group of commands. */
export function makeOperationCommand(): Command {
  const group = new Command("operation").description(
    "look at what runs beside a runtime's loop, wait for it and move it along",
  );
  const commands = [
    makeOperationListCommand(),
    makeOperationGetCommand(),
    makeCompletionsCommand(),
    makeOperationWaitCommand(),
    makeOperationWatchCommand(),
    makeRegisterCommand(),
    makeProgressCommand(),
    makePeerReadyCommand(),
    makeCompleteCommand(),
    ...PLAIN_STEPS.map(makePlainStepCommand),
    makeCollectCommand(),
    makeTerminateOwnerCommand(),
  ];
  for (const command of commands) group.addCommand(command);
  return group;
}
