/** `keelson serve`: a server for production, on a MongoDB of its own. */
import { Command } from "commander";
import { configOrExit, type ServerFlags, withServerOptions } from "./server-options.ts";

const HELP = `
Examples:
  KEELSON_MONGODB_URI=mongodb://db-1,db-2/?replicaSet=main keelson serve
  keelson serve --print-config         what would be used, without secrets

Every setting is a variable of the environment: docs/generated/configuration.md.
SIGTERM drains and ends with 0; a second signal ends at once with 1.
`;

/** Makes the command. */
export function makeServeCommand(): Command {
  return withServerOptions(new Command("serve"))
    .description("run a server on the MongoDB at KEELSON_MONGODB_URI")
    .option("--embedded", "use an embedded MongoDB all the same")
    .addHelpText("after", HELP)
    .action(async (flags: ServerFlags) => {
      const config = configOrExit("serve", flags);
      const { runServer } = await import("./run-server.ts");
      await runServer(config, () => undefined);
    });
}
