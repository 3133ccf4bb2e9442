/** The options that `dev`, `serve` and `doctor` have in common, and the configuration they make. */
import type { Command } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { type Flags, readConfig, type ServerCommand, type ServerConfig } from "../config/config.ts";
import { processEnvironment } from "../config/process-environment.ts";
import { printableConfig } from "../config/redact.ts";
import { EXIT_CODES } from "../server/exit-codes.ts";

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
    port,
    host,
    insecure,
    inMemory,
    embedded,
    logLevel,
    logFormat,
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
