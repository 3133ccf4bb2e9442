/**
 * One run of the command: a process group of its own with the run on stdin. Whatever the command
 * started ends with it, so that nothing of a run outlives the run.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { makeLineSplitter, type OutputLine } from "./line-splitter.ts";

const LINE_CHARACTERS_MAX = 1024 * 1024 + 1;
const ERROR_LINE_CHARACTERS_MAX = 4_096;
/** How long pipes may stay open that a process outside of the group still holds. */
const PIPES_OPEN_MS = 1_000;

/** How a command ended. */
export type CommandEnd =
  | { readonly type: "exited"; readonly exitCode: number }
  | { readonly type: "killed"; readonly signal: string }
  /** It could not be started. */
  | { readonly type: "not_started"; readonly problem: string };

/** What to start. */
export interface CommandOptions {
  readonly command: string;
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Text for stdin. */
  readonly input: string;
  readonly onLine: (line: OutputLine) => void;
  readonly onErrorLine: (line: OutputLine) => void;
}

/** A command that runs. */
export interface CommandProcess {
  /** Resolves when it is over and its output was read. */
  readonly ended: Promise<CommandEnd>;
  /** Asks it to end, and kills it when it has not after a while. */
  readonly stop: (killAfterMs: number) => void;
  /** Kills it at once. */
  readonly kill: () => void;
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    const isGone = error instanceof Error && "code" in error && error.code === "ESRCH";
    // EPERM: what is left of the group changed its user; the command itself is not among it.
    const isForeign = error instanceof Error && "code" in error && error.code === "EPERM";
    if (!isGone && !isForeign) throw error;
  }
}

function endOf(exitCode: number | null, signal: NodeJS.Signals | null): CommandEnd {
  if (signal !== null) return { type: "killed", signal };
  // Shells answer the death of what they ran by a signal as 128 and its number.
  return { type: "exited", exitCode: exitCode ?? 128 + constants.signals.SIGKILL };
}

/** Starts the command. */
export function startCommand(options: CommandOptions): CommandProcess {
  const { command, words, environment, input, onLine, onErrorLine } = options;
  const child = spawn(command, words, {
    env: { ...environment },
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  const lines = makeLineSplitter(LINE_CHARACTERS_MAX, onLine);
  const errorLines = makeLineSplitter(ERROR_LINE_CHARACTERS_MAX, onErrorLine);
  child.stdout.on("data", lines.push);
  child.stderr.on("data", errorLines.push);
  // A command may end without reading its input.
  child.stdin.on("error", () => child.stdin.destroy());
  child.stdin.end(input);

  let killTimer: NodeJS.Timeout | undefined;
  const ended = new Promise<CommandEnd>((resolve) => {
    child.once("error", (error) => {
      if (child.pid === undefined) resolve({ type: "not_started", problem: error.message });
    });
    child.once("exit", () => {
      clearTimeout(killTimer);
      signalGroup(child, "SIGKILL");
      const pipesTimer = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, PIPES_OPEN_MS);
      child.once("close", () => clearTimeout(pipesTimer));
    });
    child.once("close", (exitCode, signal) => {
      lines.end();
      errorLines.end();
      resolve(endOf(exitCode, signal));
    });
  });
  return {
    ended,
    stop: (killAfterMs) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      signalGroup(child, "SIGTERM");
      killTimer ??= setTimeout(() => signalGroup(child, "SIGKILL"), killAfterMs);
    },
    kill: () => {
      if (child.exitCode === null && child.signalCode === null) signalGroup(child, "SIGKILL");
    },
  };
}
