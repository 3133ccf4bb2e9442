/** The `keelson` command: puts its commands together, each of which lives in a file of its own. */
import { Command, CommanderError } from "commander";
import { EXIT_CODES } from "../server/exit-codes.ts";
import { SERVER_VERSION } from "../server/version.ts";
import { makeAdminCommand } from "./admin/admin.ts";
import { makeBlobCommand } from "./blob/blob.ts";
import { makeDevCommand } from "./dev.ts";
import { makeDoctorCommand } from "./doctor.ts";
import { makeOperationCommand } from "./operation/operation.ts";
import { makeProcessCommand } from "./process/process.ts";
import { makeRuntimeCommand } from "./runtime/runtime.ts";
import { makeServeCommand } from "./serve.ts";
import { makeTaskCommand } from "./task/task.ts";
import { makeWorkerCommand } from "./worker/worker.ts";

const program = new Command("keelson")
  .description("A durable control plane for agent runtimes and their background work")
  .version(SERVER_VERSION)
  .showHelpAfterError("(--help shows what can be said)")
  .exitOverride();

/** Hands the settings of the program down to a command and all below it. */
function inherit(command: Command): Command {
  for (const below of command.commands) inherit(below);
  return command.copyInheritedSettings(program);
}

for (const command of [
  makeDevCommand(),
  makeServeCommand(),
  makeDoctorCommand(),
  makeRuntimeCommand(),
  makeOperationCommand(),
  makeProcessCommand(),
  makeTaskCommand(),
  makeWorkerCommand(),
  makeBlobCommand(),
  makeAdminCommand(),
]) {
  program.addCommand(inherit(command));
}

// A reader that went away, such as `head`, ends a command without a word. The log of a server does
// not come this way.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT_CODES.ok);
  throw error;
});
// Nobody hears a complaint either; how the command ends is still told by its code.
process.stderr.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === EXIT_CODES.ok ? EXIT_CODES.ok : EXIT_CODES.usage;
}
