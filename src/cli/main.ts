/** The `keelson` command: puts its commands together, each of which lives in a file of its own. */
import { Command } from "commander";
import { SERVER_VERSION } from "../server/version.ts";
import { makeDevCommand } from "./dev.ts";
import { makeServeCommand } from "./serve.ts";

await new Command("keelson")
  .description("A durable control plane for agent runtimes and their background work")
  .version(SERVER_VERSION)
  .addCommand(makeDevCommand())
  .addCommand(makeServeCommand())
  .showHelpAfterError()
  .parseAsync();
