// The embedded database's own process, found by the record it keeps in the data directory. It is
// not a child of this process: the replicas start it, and start it again when it is gone.
import { hostPathsIn, isHostAlive, readHostRecord } from "../../../src/embedded/host-files.ts";
import { eventually } from "./waiting.ts";

/** Ways to trouble the database of one data directory. */
export interface DatabaseChild {
  /** Kills it and waits until it is gone. */
  readonly kill: () => Promise<void>;
  readonly pause: () => Promise<void>;
  readonly resume: () => Promise<void>;
  /** Process id of the one that lives now; undefined when none does. */
  readonly pid: () => Promise<number | undefined>;
}

const END_DEADLINE_MS = 10_000;

/** The database of a data directory. */
export function databaseIn(dataDirectory: string): DatabaseChild {
  const paths = hostPathsIn(dataDirectory);

  async function pid(): Promise<number | undefined> {
    const record = await readHostRecord(paths);
    return record !== undefined && (await isHostAlive(record)) ? record.pid : undefined;
  }

  async function signal(name: NodeJS.Signals): Promise<number | undefined> {
    const living = await pid();
    if (living !== undefined) process.kill(living, name);
    return living;
  }

  return {
    pid,
    pause: async () => void (await signal("SIGSTOP")),
    resume: async () => void (await signal("SIGCONT")),
    kill: async () => {
      const killed = await signal("SIGKILL");
      if (killed === undefined) return;
      await eventually("the database is gone", END_DEADLINE_MS, async () => {
        return (await pid()) !== killed;
      });
    },
  };
}
