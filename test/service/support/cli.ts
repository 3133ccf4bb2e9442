/**
 * The `keelson` command as its users have it: child processes of the real command line, against a
 * server that is a child process, too.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const COMMAND = fileURLToPath(new URL("../../../bin/keelson.js", import.meta.url));
/** Many short commands are started here: what Node has compiled once is kept. */
const COMPILED = fileURLToPath(new URL("../../../node_modules/.cache/keelson", import.meta.url));
const WAIT_MS = 20_000;
const POLL_MS = 20;
const LISTENING = /"address":"([^"]+)"[^\n]*"server serves"/;

/** A command that runs. */
export interface RunningCommand {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves with the exit code, or null when a signal ended it. */
  readonly ended: Promise<number | null>;
}

/** A command that is over. */
export interface FinishedCommand {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A server of its own, with everything in memory. */
export interface CliServer {
  readonly address: string;
  readonly port: number;
  readonly process: RunningCommand;
  readonly stop: () => Promise<void>;
}

/** What a command is started with. */
export interface CommandInput {
  readonly address?: string;
  readonly stdin?: string;
  readonly variables?: Readonly<Record<string, string>>;
}

/** Waits until something holds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`it did not come to this: ${what}`);
    await wait(POLL_MS);
  }
}

/** Starts a command and lets it run. */
export function startCli(words: readonly string[], input: CommandInput = {}): RunningCommand {
  const { address, stdin, variables } = input;
  const where = address === undefined ? {} : { KEELSON_ADDRESS: address };
  const { PATH, HOME } = process.env;
  const environment = { PATH, HOME, NODE_COMPILE_CACHE: COMPILED, ...where };
  const child = spawn(process.execPath, [COMMAND, ...words], {
    env: { ...environment, ...variables },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.end(stdin ?? "");
  const ended = once(child, "close").then(() => child.exitCode);
  return { child, ended, stdout: () => stdout, stderr: () => stderr };
}

/** Runs a command to its end. */
export async function runCli(
  words: readonly string[],
  input: CommandInput = {},
): Promise<FinishedCommand> {
  const command = startCli(words, input);
  const exitCode = await command.ended;
  return { exitCode, stdout: command.stdout(), stderr: command.stderr() };
}

/** Ends a command and waits for it. */
export async function endCli(
  command: RunningCommand,
  signal: NodeJS.Signals,
): Promise<number | null> {
  command.child.kill(signal);
  return await command.ended;
}

/** Starts a server in memory; on a free port unless one is named. */
export async function startCliServer(port = 0): Promise<CliServer> {
  const words = ["dev", "--in-memory", "--port", String(port), "--log-format", "json"];
  const running = startCli(words);
  await until("the server serves", () => {
    if (running.child.exitCode !== null) throw new Error(`no server: ${running.stderr()}`);
    return LISTENING.test(running.stdout());
  });
  const address = LISTENING.exec(running.stdout())?.[1] ?? "";
  return {
    address,
    port: Number(address.split(":").at(-1)),
    process: running,
    stop: async () => {
      await endCli(running, "SIGTERM");
    },
  };
}
