/** `keelson dev`: a server on an embedded database, for trying things out. */
import { Command } from "commander";
import type { ServerConfig } from "../config/config.ts";
import type { RunningServer } from "../server/compose.ts";
import { SERVER_VERSION } from "../server/version.ts";
import { configOrExit, type ServerFlags, withServerOptions } from "./server-options.ts";

const HELP = `
Examples:
  keelson dev                          data in .keelson/, port 7420
  keelson dev --data-dir /tmp/try      data elsewhere
  keelson dev --in-memory --port 0     nothing kept, a free port

KEELSON_MONGODB_URI, when set, takes the place of the embedded database.
`;

/** Where the other commands look for a server unless told otherwise. */
const PORT_DEFAULT = 7420;

function placeOf(config: ServerConfig): string {
  switch (config.database.kind) {
    case "memory":
      return "in memory, gone when this ends";
    case "embedded":
      return `${config.dataDirectory} (embedded MongoDB, for development)`;
    case "mongodb":
      return `MongoDB, database ${config.databaseName}`;
  }
}

function firstScreen(config: ServerConfig, server: RunningServer): string {
  const { url } = server;
  const address = config.port === PORT_DEFAULT ? "" : ` --address ${url}`;
  return `
  Keelson ${SERVER_VERSION} serves at ${url}
  Data: ${placeOf(config)}

  Try it, in another terminal:
    curl -s ${url}/keelson.runtime.v1.RuntimeControlPlaneService/Ingest \\
      -H 'content-type: application/json' \\
      -d '{"runtimeId":"agent-1","ensure":true,"input":{"prompt":{"text":"hello"}}}'
    npx keelson runtime get agent-1${address}
    npx keelson worker exec${address} --runtime agent-1 -- cat

  The worker answers with what it is given. Ctrl-C ends it, and this server.

`;
}

/** Makes the command. */
export function makeDevCommand(): Command {
  return withServerOptions(new Command("dev"))
    .description("run a server with an embedded database, for development")
    .addHelpText("after", HELP)
    .action(async (flags: ServerFlags) => {
      const config = configOrExit("dev", flags);
      const { runServer } = await import("./run-server.ts");
      await runServer(config, (server) => {
        if (process.stdout.isTTY) process.stdout.write(firstScreen(config, server));
      });
    });
}
