/**
 * Gets the storage that the configuration asks for, and tries again for as long as the database is
 * merely away. What trying again cannot mend (a database that is too old, an embedded one that this
 * machine cannot run) is thrown at once.
 */
import type { Logger } from "pino";
import type { ServerConfig } from "../config/config.ts";
import type { EmbeddedDatabase } from "../embedded/embedded-database.ts";
import { startEmbedded } from "../embedded/launcher.ts";
import { type Clock, type Entropy, type Storage, StorageError } from "../engine/ports.ts";
import { backoffMs } from "../engine/backoff.ts";
import { makeMemoryStorage } from "../storage/memory/database.ts";
import { openMongoStorage } from "../storage/mongo/storage.ts";

/** A storage and how to let go of it. */
export interface OpenStorage {
  readonly storage: Storage;
  readonly isEmbedded: boolean;
  /** Empty for the memory. */
  readonly databaseName: string;
  /** Closes the connections; an embedded database ends by itself after its last client. */
  readonly close: () => Promise<void>;
}

/** What getting a storage needs. */
export interface StorageSourceOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly recordClasses: readonly string[];
  /** Gives up when it is aborted. */
  readonly signal: AbortSignal;
  /** Told each time the database did not answer. */
  readonly onMissed: () => void;
  /** Told when the embedded database was restarted. */
  readonly onRestarted: () => void;
  /** Gets lines for people when the first start takes long. */
  readonly onProgress: (line: string) => void;
}

const RETRY = { initialMs: 250, maxMs: 5_000 };
const SELECTION_TIMEOUT_MS = 2_000;

function startChild(options: StorageSourceOptions): Promise<EmbeddedDatabase> {
  const { config, logger, onProgress, onRestarted } = options;
  const { dataDirectory, cacheDirectory, runtimeDirectory, environment } = config;
  return startEmbedded({
    dataDirectory,
    cacheDirectory,
    runtimeDirectory,
    environment,
    logger,
    onProgress,
    onEvent: (event) => {
      if (event.kind === "restarted") onRestarted();
    },
  });
}

function pauseFor(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(delayMs, resolve);
    signal.addEventListener(
      "abort",
      () => {
        cancel();
        resolve();
      },
      { once: true },
    );
  });
}

/**
 * Repeats `work` while the database is away, with growing pauses; rejects with what it cannot mend,
 * or with the reason of the signal.
 */
export async function whileUnavailable<Answer>(
  options: Omit<StorageSourceOptions, "config" | "recordClasses" | "onProgress" | "onRestarted">,
  work: () => Promise<Answer>,
): Promise<Answer> {
  const { logger, clock, entropy, signal, onMissed } = options;
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StorageError) || error.kind !== "unavailable") throw error;
      const retryInMs = Math.round(backoffMs(RETRY, attempt, entropy));
      onMissed();
      logger.warn({ attempt, retryInMs, err: error }, "database does not answer");
      await pauseFor(clock, retryInMs, signal);
    }
  }
}

async function openMongo(
  uri: string,
  options: StorageSourceOptions,
): Promise<Pick<OpenStorage, "storage" | "databaseName">> {
  const { databaseName, databaseTimeoutMs, databaseConnectionsMax } = options.config;
  const storage = await whileUnavailable(options, () =>
    openMongoStorage({
      uri,
      databaseName,
      recordClasses: options.recordClasses,
      appName: "keelson",
      operationTimeoutMs: databaseTimeoutMs,
      serverSelectionTimeoutMs: Math.min(SELECTION_TIMEOUT_MS, databaseTimeoutMs),
      poolSizeMax: databaseConnectionsMax,
    }),
  );
  return { storage, databaseName };
}

/** Opens the storage of the configuration. Throws EmbeddedError, StorageError, or the abort. */
export async function openStorage(options: StorageSourceOptions): Promise<OpenStorage> {
  const { database } = options.config;
  switch (database.kind) {
    case "memory": {
      const storage = makeMemoryStorage({ clock: options.clock });
      return { storage, isEmbedded: false, databaseName: "", close: storage.close };
    }
    case "mongodb": {
      const opened = await openMongo(database.uri, options);
      return { ...opened, isEmbedded: false, close: opened.storage.close };
    }
    case "embedded": {
      const child = await startChild(options);
      try {
        const opened = await openMongo(child.uri, options);
        const close = async (): Promise<void> => {
          await opened.storage.close();
          await child.leave();
        };
        return { ...opened, isEmbedded: true, close };
      } catch (error) {
        await child.leave();
        throw error;
      }
    }
  }
}
