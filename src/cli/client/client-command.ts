/**
 * What all commands that talk to a server share: their options, and a frame around their work that
 * opens the connection, says errors to people and ends with the right code.
 */
import { ConnectError } from "@connectrpc/connect";
import { Command, InvalidArgumentError, Option } from "commander";
import { processEnvironment } from "../../config/process-environment.ts";
import {
  ADDRESS_DEFAULT,
  addressOf,
  type Connection,
  loginName,
  openConnection,
} from "./connection.ts";
import { CLIENT_EXIT_CODES, type ClientExitCode, exitCodeOfStatus } from "./exit-codes.ts";
import { failureJson, failureOf, failureText } from "./failure.ts";
import { parseSpan } from "./format.ts";
import { makeOutput, type Output, type OutputFormat } from "./output.ts";

const CALL_TIMEOUT_MS = 30_000;
const NAMESPACE_DEFAULT = "default";

/** What the options of a connection say. */
export interface ConnectionFlags {
  readonly address?: string;
  readonly namespace?: string;
  readonly actor?: string;
  /** Milliseconds. */
  readonly timeout?: number;
}

/** What the options of every command with an answer say. */
export interface ClientFlags extends ConnectionFlags {
  readonly output: OutputFormat;
}

/** What the work of a command is given. */
export interface Workplace {
  readonly connection: Connection;
  readonly output: Output;
}

/** Ends a command with a message for people and a code; nothing is wrong with the server. */
export class CommandError extends Error {
  readonly exitCode: ClientExitCode;

  constructor(message: string, exitCode: ClientExitCode = CLIENT_EXIT_CODES.failed) {
    super(message);
    this.name = "CommandError";
    this.exitCode = exitCode;
  }
}

/** The error for options that do not go together. */
export function usageError(message: string): CommandError {
  return new CommandError(message, CLIENT_EXIT_CODES.usage);
}

/** Reads the span of an option, in milliseconds. */
export function spanOption(text: string): number {
  const spanMs = parseSpan(text);
  if (spanMs === undefined) throw new InvalidArgumentError("Write it like 500ms, 30s or 5m.");
  return spanMs;
}

/** Reads a whole number of an option. */
export function countOption(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(count)) return count;
  throw new InvalidArgumentError("It must be a whole number.");
}

/** Reads a revision or another large whole number of an option. */
export function bigCountOption(text: string): bigint {
  return BigInt(countOption(text));
}

function addressOption(text: string): string {
  const address = addressOf(text);
  if (address !== undefined) return address;
  throw new InvalidArgumentError("Write it like http://127.0.0.1:7420 or host:port.");
}

/** The examples below the help of a command: the command and what it does. */
export function examples(...lines: readonly (readonly [string, string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  const shown = lines.map(([command, meaning]) => `  ${command.padEnd(width)}   ${meaning}`);
  return `\nExamples:\n${shown.map((line) => line.trimEnd()).join("\n")}\n`;
}

/** Makes a command with the options that say which server and as whom. */
export function makeConnectionCommand(name: string, description: string): Command {
  const options = [
    new Option("--address <url>", `server (KEELSON_ADDRESS, ${ADDRESS_DEFAULT})`).argParser(
      addressOption,
    ),
    new Option("--namespace <name>", "namespace (KEELSON_NAMESPACE, default)"),
    new Option("--actor <name>", "who asks, for the history (the login name)"),
    new Option("--timeout <span>", "how long to wait for an answer (30s)").argParser(spanOption),
  ];
  const command = new Command(name).description(description);
  for (const option of options) command.addOption(option.helpGroup("Connection:"));
  return command;
}

/** Makes a command that also says how to answer. */
export function makeClientCommand(name: string, description: string): Command {
  return makeConnectionCommand(name, description).addOption(
    new Option("-o, --output <format>", "table for people, json for scripts")
      .choices(["table", "json"])
      .default("table"),
  );
}

/** Opens the connection that the options and the environment ask for. */
function connectionFor(flags: ConnectionFlags): Connection {
  const environment = processEnvironment();
  const address = flags.address ?? addressOf(environment["KEELSON_ADDRESS"] || ADDRESS_DEFAULT);
  if (address === undefined) throw usageError("KEELSON_ADDRESS is not the address of a server.");
  return openConnection({
    address,
    namespace: flags.namespace ?? (environment["KEELSON_NAMESPACE"] || NAMESPACE_DEFAULT),
    actor: flags.actor ?? loginName(),
    timeoutMs: flags.timeout ?? CALL_TIMEOUT_MS,
  });
}

/** Says an error and answers the code to end with. */
function report(error: unknown, address: string, output: Output): ClientExitCode {
  if (error instanceof CommandError) {
    output.note(`error: ${error.message}`);
    return error.exitCode;
  }
  if (!(error instanceof ConnectError)) {
    // A file that cannot be read and the like; anything else is a fault of this program.
    if (!(error instanceof Error && "syscall" in error)) throw error;
    output.note(`error: ${error.message}`);
    return CLIENT_EXIT_CODES.failed;
  }
  const failure = failureOf(error);
  output.note(output.isJson ? failureJson(failure) : failureText(failure, address));
  return exitCodeOfStatus(failure.code);
}

/** Does the work of a command; it answers the code to end with, 0 when it answers nothing. */
export async function runClient(
  flags: ClientFlags,
  work: (workplace: Workplace) => Promise<ClientExitCode | undefined>,
): Promise<void> {
  const output = makeOutput(flags.output);
  let connection: Connection | undefined;
  try {
    connection = connectionFor(flags);
    process.exitCode = (await work({ connection, output })) ?? CLIENT_EXIT_CODES.ok;
  } catch (error) {
    process.exitCode = report(error, connection?.address ?? "", output);
  } finally {
    output.progressDone();
    connection?.close();
  }
}
