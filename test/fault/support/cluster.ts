// What a fault case runs on: replicas that share one database, an embedded one unless there is one
// already, and executors, all real processes with their files in one temporary directory.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DatabaseChild, databaseIn } from "./database-child.ts";
import { type ExecutorPlan, type ExecutorProcess, makeExecutor } from "./executor-process.ts";
import type { HistoryEntry } from "./history.ts";
import { makeReplica, type Replica } from "./replica-process.ts";

/** What to start. */
export interface ClusterOptions {
  readonly replicas: readonly string[];
  /** A database that is there; an embedded one of its own when absent. */
  readonly databaseUri?: string;
  /** Settings of every replica, by variable. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A running control plane with its executors. */
export interface Cluster {
  readonly directory: string;
  readonly replicas: readonly Replica[];
  readonly urls: readonly string[];
  readonly database: DatabaseChild;
  readonly executors: readonly ExecutorProcess[];
  /** Starts an executor; it begins with the replica of that place. */
  readonly startExecutor: (plan: ExecutorPlan, firstReplica?: number) => ExecutorProcess;
  /** What all executors wrote down. */
  readonly executorEntries: () => readonly HistoryEntry[];
  /** Ends everything; the files stay when they are wanted for looking at. */
  readonly dispose: (keepsFiles: boolean) => Promise<void>;
}

const REMOVAL = { recursive: true, force: true, maxRetries: 20, retryDelay: 250 };

/** Starts the replicas of a cluster and waits until all are ready. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const directory = await mkdtemp(join(tmpdir(), "keelson-fault-"));
  const dataDirectory = join(directory, "data");
  const logDirectory = join(directory, "logs");
  await mkdir(logDirectory);
  const { environment = {}, databaseUri } = options;
  const replicas = options.replicas.map((name) => {
    return makeReplica({ name, dataDirectory, logDirectory, databaseUri, environment });
  });
  const executors: ExecutorProcess[] = [];
  const database = databaseIn(dataDirectory);

  async function dispose(keepsFiles: boolean): Promise<void> {
    await Promise.all(executors.map((executor) => executor.kill()));
    await Promise.all(replicas.map((replica) => replica.kill()));
    await database.kill();
    // A replica may have started a database right before its own end; it ends when it is idle.
    if (!keepsFiles) await rm(directory, REMOVAL);
  }

  try {
    await Promise.all(replicas.map((replica) => replica.start()));
  } catch (error) {
    await dispose(true);
    throw error;
  }
  const urls = replicas.map((replica) => replica.url());
  return {
    directory,
    replicas,
    urls,
    database,
    executors,
    dispose,
    startExecutor: (plan, firstReplica = 0) => {
      const inOrder = [...urls.slice(firstReplica), ...urls.slice(0, firstReplica)];
      const executor = makeExecutor(plan, {
        urls: inOrder,
        directory: logDirectory,
      });
      executors.push(executor);
      executor.start();
      return executor;
    },
    executorEntries: () => executors.flatMap((executor) => executor.history()),
  };
}
