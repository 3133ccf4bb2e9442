/** `keelson worker`: the commands of executors. */
import { Command } from "commander";
import { makeExecCommand } from "./exec.ts";

/** Makes the group of commands. */
export function makeWorkerCommand(): Command {
  return new Command("worker")
    .description("run work: the generic executor")
    .addCommand(makeExecCommand());
}
