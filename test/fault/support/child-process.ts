// A real process under test: started from a script of this repository, its output kept in a file,
// and ended, paused and resumed by signals like any other.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** What to start. */
export interface ChildOptions {
  /** Path of the script, absolute or from the root of the repository. */
  readonly script: string;
  readonly words: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Gets both outputs, after what is there already. */
  readonly logPath: string;
}

/** How a process ended: the code of an exit, or the signal that ended it. */
export type Ending = number | NodeJS.Signals;

/** A started process. */
export interface Child {
  readonly pid: number;
  readonly exited: Promise<Ending>;
  readonly hasExited: () => boolean;
  /** Sends a signal; does nothing once the process is gone. */
  readonly signal: (signal: NodeJS.Signals) => void;
  /** Kills it at once and waits for its end. */
  readonly kill: () => Promise<void>;
}

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

function endingOf(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve, reject) => {
    child.once("exit", (code, signal) => resolve(code ?? signal ?? -1));
    child.once("error", reject);
  });
}

/** Starts a script with this process's own Node. */
export function startChild(options: ChildOptions): Child {
  const output = openSync(options.logPath, "a");
  const child = spawn(process.execPath, [options.script, ...options.words], {
    cwd: ROOT,
    env: { ...process.env, ...options.environment },
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  const exited = endingOf(child);
  const hasExited = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const signal = (name: NodeJS.Signals): void => {
    if (!hasExited()) child.kill(name);
  };
  return {
    pid: child.pid ?? 0,
    exited,
    hasExited,
    signal,
    kill: async () => {
      signal("SIGKILL");
      await exited;
    },
  };
}
