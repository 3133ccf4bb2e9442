/**
 * A server in a process of its own, as `keelson serve` runs it, with the one change that a
 * benchmark asks for: `journal-off` acknowledges commits without storing them.
 */
import pino from "pino";
import { readConfig } from "../../src/config/config.ts";
import { processEnvironment } from "../../src/config/process-environment.ts";
import type { Storage } from "../../src/engine/ports.ts";
import { startServer } from "../../src/server/compose.ts";

/** The same storage with a journal that stores nothing and always agrees. */
function withoutJournal(storage: Storage): Storage {
  return {
    ...storage,
    journal: {
      ...storage.journal,
      append: async (commits) => commits.map(() => "stored"),
    },
  };
}

const [mode = "journal", databaseName = "bench", dataDirectory = ".keelson"] =
  process.argv.slice(2);
const config = readConfig({
  command: "dev",
  environment: processEnvironment(),
  flags: { dataDirectory, databaseName, port: "0", logLevel: "warn" },
});
const server = await startServer(config, {
  logger: pino({ level: "warn" }),
  ...(mode === "journal-off" ? { wrapStorage: withoutJournal } : {}),
});
await server.serving;
process.stdout.write(`${server.url}\n`);
process.on("SIGTERM", () => {
  void server.stop().then(() => process.exit(0));
});
