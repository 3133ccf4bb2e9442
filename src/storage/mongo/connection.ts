/**
 * The one client of the storage and the few ways to talk through it. Everything is explicit: write
 * and read concern per command, a deadline that also holds when nobody answers, a label that names
 * the query in the server's logs. Writes are sent as commands, because answers are then read by
 * code and the bulk writers of the driver cost twice the processor time per document.
 *
 * The driver never retries a write: only the journal's writer knows what may be sent again.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Db, type Document, MinKey, MongoClient, type MongoClientOptions } from "mongodb";
import { StorageError } from "../../engine/ports.ts";
import { storageErrorOf } from "./errors.ts";
import { makeReplaceableClient, type ReplaceableClient } from "./replaceable-client.ts";
import {
  type BuildReply,
  type HelloReply,
  type MongoTopology,
  requireServerVersion,
  topologyOf,
  type WriteConcerns,
  writeConcernsOf,
} from "./topology.ts";

/** A command that the storage sends, as an observer sees it before it leaves. */
export interface MongoCommand {
  readonly databaseName: string;
  readonly command: Readonly<Record<string, unknown>>;
}

/** How to reach the database. */
export interface ConnectionOptions {
  readonly uri: string;
  readonly databaseName: string;
  readonly appName: string;
  /** Deadline of every operation that has none of its own. */
  readonly operationTimeoutMs: number;
  /** How long to look for a server that can serve an operation. */
  readonly serverSelectionTimeoutMs: number;
  readonly poolSizeMax: number;
  readonly onCommand?: (command: MongoCommand) => void;
}

/** A query over one collection; always answered in full. */
export interface FindQuery {
  /** Names the query, such as `journal.readAfter`. */
  readonly label: string;
  readonly collection: string;
  /** The storage's own unless told otherwise. */
  readonly databaseName?: string;
  readonly filter: Document;
  readonly projection?: Document;
  readonly sort?: Readonly<Record<string, 1 | -1>>;
  /** Inclusive start in the hinted index. */
  readonly min?: Document;
  readonly hint?: string;
  readonly limit?: number;
  readonly readConcern?: "local" | "majority" | "linearizable";
}

/** The client, bound to one database. */
export interface MongoConnection {
  readonly topology: MongoTopology;
  readonly version: string;
  readonly writeConcerns: WriteConcerns;
  /** Sends a command; a member `comment` names it. Throws StorageError. */
  readonly command: <Reply>(label: string, command: Document, timeoutMs?: number) => Promise<Reply>;
  readonly find: <Stored>(query: FindQuery) => Promise<readonly Stored[]>;
  /** Hands documents over until `take` answers false. */
  readonly scan: <Stored>(query: FindQuery, take: (stored: Stored) => boolean) => Promise<void>;
  /** Hands over a capped collection and what is added to it, until the signal or an error. */
  readonly tail: <Stored>(
    label: string,
    collection: string,
    signal: AbortSignal,
    take: (stored: Stored) => void,
  ) => Promise<void>;
  /** What the server says of itself. */
  readonly hello: () => Promise<HelloReply>;
  /** Given when the connection is closed, so that nothing goes on trying. */
  readonly closing: AbortSignal;
  readonly close: () => Promise<void>;
}

/** Sorts before every value in an index. */
export const beforeAll = new MinKey();

const tailAwaitMs = 2_000;
const documentsPerReply = 1_000;
const closeTimeoutMs = 2_000;

function clientOptions(options: ConnectionOptions): MongoClientOptions {
  return {
    appName: options.appName,
    connectTimeoutMS: options.serverSelectionTimeoutMs,
    serverSelectionTimeoutMS: options.serverSelectionTimeoutMs,
    waitQueueTimeoutMS: options.operationTimeoutMs,
    socketTimeoutMS: 0,
    heartbeatFrequencyMS: 5_000,
    minHeartbeatFrequencyMS: 100,
    maxPoolSize: options.poolSizeMax,
    minPoolSize: 1,
    maxConnecting: 4,
    maxIdleTimeMS: 60_000,
    retryWrites: false,
    retryReads: true,
    maxAdaptiveRetries: 0,
    readPreference: "primary",
    writeConcern: { w: "majority", journal: true },
    useBigInt64: true,
    ignoreUndefined: false,
    promoteBuffers: false,
    monitorCommands: options.onCommand !== undefined,
  };
}

/** Runs `work` under a deadline; throws nothing but StorageError. */
async function withinDeadline<Answer>(
  label: string,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(new StorageError("unavailable", `${label}: no answer within ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    return await work(controller.signal);
  } catch (error) {
    throw storageErrorOf(label, error);
  } finally {
    clearTimeout(timer);
  }
}

/** The options of a query that are set, for the driver. */
function findOptions(query: FindQuery): Document {
  const { projection, sort, min, hint, limit } = query;
  return {
    comment: query.label,
    ...(projection === undefined ? {} : { projection }),
    ...(sort === undefined ? {} : { sort }),
    ...(min === undefined ? {} : { min }),
    ...(hint === undefined ? {} : { hint }),
    ...(limit === undefined ? {} : { limit }),
  };
}

/** Resolves when the signal is given. */
function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function ignore(): void {
  // The outcome makes no difference to anybody.
}

/** Throws StorageError `rejected` for an address or an option that cannot be understood. */
function makeClient(options: ConnectionOptions): MongoClient {
  const { uri, onCommand } = options;
  try {
    const client = new MongoClient(uri, clientOptions(options));
    if (onCommand !== undefined) {
      client.on("commandStarted", ({ databaseName, command }) => {
        onCommand({ databaseName, command });
      });
    }
    return client;
  } catch (error) {
    throw new StorageError("rejected", "the address of the database cannot be used", {
      cause: error,
    });
  }
}

/** Connects and looks at what answers. Throws StorageError. */
export async function connectToMongo(options: ConnectionOptions): Promise<MongoConnection> {
  const replaceable = makeReplaceableClient({
    make: () => makeClient(options),
    patienceMs: options.serverSelectionTimeoutMs * 2,
    farewellMs: options.operationTimeoutMs * 2,
    monotonicMs: () => performance.now(),
  });
  try {
    return await withinDeadline("storage.open", options.operationTimeoutMs, async (signal) => {
      const client = await replaceable.current().connect();
      const admin = client.db("admin");
      const hello = (await admin.command({ hello: 1 }, { signal })) as HelloReply;
      const build = (await admin.command({ buildInfo: 1 }, { signal })) as BuildReply;
      requireServerVersion(build);
      return makeConnection(replaceable, options, topologyOf(hello), build.version);
    });
  } catch (error) {
    await replaceable.close();
    throw error;
  }
}

/** Databases of the present client by name: to make one costs a third of a small command. */
function makeDatabases(replaceable: ReplaceableClient, ownName: string): (name?: string) => Db {
  const byName = new Map<string, Db>();
  let client = replaceable.current();
  return (name = ownName) => {
    if (client !== replaceable.current()) {
      client = replaceable.current();
      byName.clear();
    }
    const made = byName.get(name) ?? client.db(name);
    byName.set(name, made);
    return made;
  };
}

function makeConnection(
  replaceable: ReplaceableClient,
  options: ConnectionOptions,
  topology: MongoTopology,
  version: string,
): MongoConnection {
  const { operationTimeoutMs } = options;
  const closing = new AbortController();
  const readConcern = topology === "standalone" ? "local" : "majority";

  const database = makeDatabases(replaceable, options.databaseName);

  /** Runs `work` under a deadline and tells how it went to who looks after the client. */
  function attempt<Answer>(
    label: string,
    timeoutMs: number,
    work: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    return withinDeadline(label, timeoutMs, async (signal) => {
      try {
        const answer = await work(signal);
        replaceable.answered();
        return answer;
      } catch (error) {
        replaceable.failed(error);
        throw error;
      }
    });
  }

  /**
   * A client that is closed ends its cursors without an error, as if nothing more were there. What
   * was read by a client that is gone may be cut short, so it is no answer.
   */
  function requireWhole(label: string, client: MongoClient): void {
    if (replaceable.current() === client && !closing.signal.aborted) return;
    throw new StorageError("unavailable", `${label}: the connection was given up while it read`);
  }

  function openCursor(query: FindQuery, signal: AbortSignal) {
    const { databaseName = options.databaseName } = query;
    return database(databaseName)
      .collection(query.collection)
      .find(query.filter, {
        ...findOptions(query),
        signal,
        batchSize: documentsPerReply,
        maxTimeMS: operationTimeoutMs,
        readConcern: { level: query.readConcern ?? readConcern },
      });
  }

  function command<Reply>(label: string, body: Document, timeoutMs = operationTimeoutMs) {
    return attempt(label, timeoutMs, async (signal) => {
      const limited = { ...body, comment: label, maxTimeMS: timeoutMs };
      return (await database().command(limited, { signal })) as Reply;
    });
  }

  async function tail<Stored>(
    label: string,
    collection: string,
    signal: AbortSignal,
    take: (stored: Stored) => void,
  ): Promise<void> {
    const cursor = database().collection(collection).find(
      {},
      {
        comment: label,
        tailable: true,
        awaitData: true,
        maxAwaitTimeMS: tailAwaitMs,
        batchSize: documentsPerReply,
      },
    );
    async function takeAll(): Promise<void> {
      for await (const stored of cursor) {
        if (signal.aborted) return;
        take(stored as Stored);
      }
    }
    try {
      await Promise.race([takeAll(), untilAborted(signal)]);
    } catch (error) {
      throw storageErrorOf(label, error);
    } finally {
      // Not waited for: the server may sit on the last question until its time is over.
      cursor.close().catch(ignore);
    }
  }

  return {
    topology,
    version,
    writeConcerns: writeConcernsOf(topology),
    command,
    find: (query) =>
      attempt(query.label, operationTimeoutMs, async (signal) => {
        const client = replaceable.current();
        const documents = await openCursor(query, signal).toArray();
        requireWhole(query.label, client);
        return documents as never[];
      }),
    scan: (query, take) =>
      attempt(query.label, operationTimeoutMs, async (signal) => {
        const client = replaceable.current();
        for await (const stored of openCursor(query, signal)) {
          if (!take(stored as never)) return;
        }
        requireWhole(query.label, client);
      }),
    tail,
    hello: () =>
      attempt("storage.hello", operationTimeoutMs, (signal) =>
        database("admin").command({ hello: 1 }, { signal }),
      ),
    closing: closing.signal,
    close: async () => {
      closing.abort(new StorageError("unavailable", "the connection is closed"));
      // A server that does not answer must not hold up the end of a process.
      await Promise.race([replaceable.close(), delay(closeTimeoutMs, undefined, { ref: false })]);
    },
  };
}
