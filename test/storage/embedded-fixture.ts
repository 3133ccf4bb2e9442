// Embedded databases for tests: each on a directory of its own, all over when the test is.
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { EmbeddedDatabase, EmbeddedOptions } from "../../src/embedded/embedded-database.ts";
import { startEmbedded } from "../../src/embedded/launcher.ts";

/** A private data directory and the databases started on it. */
export interface EmbeddedFixture {
  readonly dataDirectory: string;
  /** What every start on this directory uses; for starts in other processes, too. */
  readonly options: Omit<EmbeddedOptions, "logger">;
  /** Starts or joins the database of this directory, as one more replica would. */
  readonly start: (changes?: Partial<EmbeddedOptions>) => Promise<EmbeddedDatabase>;
  /** Ends every database started here and removes the directory. */
  readonly remove: () => Promise<void>;
}

/** Makes a fixture; `below` is created inside its temporary directory as the data directory. */
export async function makeEmbeddedFixture(below = "data"): Promise<EmbeddedFixture> {
  const root = await mkdtemp(join(tmpdir(), "keelson-"));
  const dataDirectory = join(root, below);
  const started: EmbeddedDatabase[] = [];
  const options = {
    dataDirectory,
    runtimeDirectory: join(tmpdir(), `keelson-${userInfo().uid}`),
    cacheDirectory: join(homedir(), ".cache", "keelson"),
    environment: environmentOfThisProcess(),
  };
  return {
    dataDirectory,
    options,
    async start(changes) {
      const logger = pino({ level: "silent" });
      const database = await startEmbedded({ ...options, logger, ...changes });
      started.push(database);
      return database;
    },
    async remove() {
      await Promise.all(started.slice(1).map((database) => database.leave()));
      await started[0]?.stop();
      await rm(root, { recursive: true, force: true });
    },
  };
}

function environmentOfThisProcess(): Readonly<Record<string, string>> {
  const set = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return Object.fromEntries(set);
}

/** Polls until `isTrue` says so; throws after ten seconds, naming what was waited for. */
export async function eventually(
  what: string,
  isTrue: () => Promise<boolean> | boolean,
): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!(await isTrue())) {
    if (performance.now() > deadlineMs) {
      throw new Error(`did not happen in time: ${what}`);
    }
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 20);
    });
  }
}
