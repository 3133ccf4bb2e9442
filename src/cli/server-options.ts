/** The options that `dev` and `serve` have in common, and how a server is run until it ends. */
import type { Command } from "commander";
import type { Logger } from "pino";
import { ConfigError } from "../config/config-error.ts";
import { type Flags, readConfig, type ServerCommand, type ServerConfig } from "../config/config.ts";
import { processEnvironment } from "../config/process-environment.ts";
import { printableConfig } from "../config/redact.ts";
import { EmbeddedError } from "../embedded/embedded-error.ts";
import { StorageError } from "../engine/ports.ts";
import { makeLogger } from "../observability/logger.ts";
import { type RunningServer, startServer } from "../server/compose.ts";
import { endProcess, EXIT_CODES, watchProcess } from "../server/process-signals.ts";

/** What the options of the command line say, by their long names. */
export interface ServerFlags {
  readonly port?: string;
  readonly host?: string;
  readonly insecure?: boolean;
  readonly inMemory?: boolean;
  readonly embedded?: boolean;
  readonly dataDir?: string;
  readonly logLevel?: string;
  readonly logFormat?: string;
  readonly tlsCertificate?: string;
  readonly tlsKey?: string;
  readonly printConfig?: boolean;
}

/** Adds the common options to a command. */
export function withServerOptions(command: Command): Command {
  return command
    .option("--port <number>", "port to listen on, 0 for a free one (default 7420)")
    .option("--host <address>", "address to listen on (default 127.0.0.1)")
    .option("--insecure", "agree to an address that others can reach, without authentication")
    .option("--tls-certificate <file>", "certificate chain in PEM")
    .option("--tls-key <file>", "private key in PEM")
    .option("--data-dir <folder>", "where the embedded MongoDB keeps its files (default .keelson)")
    .option("--in-memory", "keep everything in memory: gone when the process ends")
    .option("--log-level <level>", "trace, debug, info, warn, error, fatal or silent")
    .option("--log-format <format>", "auto, json or pretty")
    .option("--print-config", "show the configuration without secrets, and end");
}

function settingsOf(flags: ServerFlags): Flags {
  const { port, host, insecure, inMemory, embedded, logLevel, logFormat } = flags;
  return {
    ...{ port, host, insecure, inMemory, embedded, logLevel, logFormat },
    dataDirectory: flags.dataDir,
    tlsCertificateFile: flags.tlsCertificate,
    tlsKeyFile: flags.tlsKey,
  };
}

function fail(text: string, code: number): never {
  process.stderr.write(`${text}\n`);
  process.exit(code);
}

/** The configuration of a command; a bad one ends the process with what is wrong. */
export function configOrExit(command: ServerCommand, flags: ServerFlags): ServerConfig {
  try {
    const config = readConfig({
      command,
      environment: processEnvironment(),
      flags: settingsOf(flags),
    });
    if (flags.printConfig) {
      process.stdout.write(`${JSON.stringify(printableConfig(config), undefined, 2)}\n`);
      process.exit(EXIT_CODES.ok);
    }
    return config;
  } catch (error) {
    if (error instanceof ConfigError) return fail(error.message, EXIT_CODES.usage);
    throw error;
  }
}

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
