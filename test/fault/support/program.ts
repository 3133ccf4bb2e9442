// A program of the suite as the harness handles it: a process of its own that is killed, paused,
// and started again with the same order.
import { join } from "node:path";
import { type Child, startChild } from "./child-process.ts";

/** A program that can be ended and started again. */
export interface Program {
  readonly name: string;
  readonly start: () => void;
  readonly kill: () => Promise<void>;
  readonly pause: () => void;
  readonly resume: () => void;
  /** Whether it ended without having been killed: it was refused something it should not be. */
  readonly hasFailed: () => boolean;
  readonly logPath: string;
}

/** What a program is made of. */
export interface ProgramOptions {
  readonly name: string;
  /** Path of the script. */
  readonly script: string;
  /** Its one argument, as JSON. */
  readonly order: unknown;
  /** Where its log is kept. */
  readonly directory: string;
}

/** Makes a program; it is not started yet. */
export function makeProgram({ name, script, order, directory }: ProgramOptions): Program {
  const logPath = join(directory, `${name}.log`);
  let child: Child | undefined;
  return {
    name,
    logPath,
    start: () => {
      child = startChild({ script, words: [JSON.stringify(order)], logPath });
    },
    kill: async () => {
      const killed = child;
      child = undefined;
      await killed?.kill();
    },
    pause: () => child?.signal("SIGSTOP"),
    resume: () => child?.signal("SIGCONT"),
    hasFailed: () => child?.hasExited() === true,
  };
}
