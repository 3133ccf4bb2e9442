/**
 * Runs a server until it ends. Loaded only by the commands that run one, so that the others start
 * without waiting for the database driver.
 */
import type { Logger } from "pino";
import type { ServerConfig } from "../config/config.ts";
import { EmbeddedError } from "../embedded/embedded-error.ts";
import { StorageError } from "../engine/ports.ts";
import { makeLogger } from "../observability/logger.ts";
import { type RunningServer, startServer } from "../server/compose.ts";
import { EXIT_CODES } from "../server/exit-codes.ts";
import { endProcess, watchProcess } from "../server/process-signals.ts";

/** True when lines are read by a person. */
function isPretty(config: ServerConfig): boolean {
  if (config.logFormat !== "auto") return config.logFormat === "pretty";
  return config.command === "dev" && process.stdout.isTTY;
}

/** What to say, and the code to end with, for a server that cannot start. */
function startFailure(error: unknown): { readonly text: string; readonly code: number } {
  if (error instanceof EmbeddedError) {
    return { text: error.message, code: EXIT_CODES.databaseUnusable };
  }
  if (error instanceof StorageError) {
    return {
      text: `The database cannot be used: ${error.message}`,
      code: EXIT_CODES.databaseUnusable,
    };
  }
  if (error instanceof Error && "code" in error) {
    const isPort = "syscall" in error && error.syscall === "listen";
    const text = isPort ? "The port cannot be had" : "The server cannot start";
    const code = isPort ? EXIT_CODES.portUnavailable : EXIT_CODES.failed;
    return { text: `${text}: ${error.message}`, code };
  }
  return { text: "The server cannot start", code: EXIT_CODES.failed };
}

function giveUp(logger: Logger, error: unknown): never {
  const { text, code } = startFailure(error);
  logger.fatal({ err: error }, "server cannot start");
  process.stderr.write(`${text}\n`);
  return endProcess(logger, code);
}

/** Runs a server until a signal ends the process; `onServing` is told when it first serves. */
export async function runServer(
  config: ServerConfig,
  onServing: (server: RunningServer) => void,
): Promise<void> {
  const logger = makeLogger({
    level: config.logLevel,
    format: isPretty(config) ? "pretty" : "json",
  });
  if (config.unknownVariables.length > 0) {
    const variables = config.unknownVariables;
    logger.warn({ variables }, "variables look like settings and are none");
  }
  let server: RunningServer;
  try {
    server = await startServer(config, {
      logger,
      onProgress: (line) => process.stderr.write(`${line}\n`),
    });
  } catch (error) {
    giveUp(logger, error);
  }
  watchProcess(server, logger);
  try {
    await server.serving;
  } catch (error) {
    // A stop while starting ends by itself, with its own code.
    if (server.readiness().phase === "draining") return;
    await server.stop();
    giveUp(logger, error);
  }
  onServing(server);
}
