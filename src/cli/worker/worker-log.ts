/**
 * What a worker says on stderr: one line per run, and a line when something changes about itself.
 */
import { printable } from "../client/format.ts";

/** Where a worker says what it does. */
export interface WorkerLog {
  /** A line of the worker. */
  readonly say: (text: string) => void;
  /** A line that a command wrote to its stderr. */
  readonly passOn: (runtimeId: string, text: string) => void;
}

/** Makes the log of a worker. */
export function makeWorkerLog(): WorkerLog {
  return {
    say: (text) => {
      const time = new Date().toISOString().slice(0, 19);
      process.stderr.write(`${time}Z worker: ${printable(text)}\n`);
    },
    passOn: (runtimeId, text) => {
      process.stderr.write(`[${printable(runtimeId)}] ${printable(text)}\n`);
    },
  };
}
