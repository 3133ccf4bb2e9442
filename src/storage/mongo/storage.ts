/**
 * A storage on MongoDB 8.0 or newer: standalone, replica set or sharded cluster, also the embedded
 * one. Nothing here needs sessions, transactions or change streams.
 */
import { type Storage, StorageError } from "../../engine/ports.ts";
import { blobChunkCollection, blobCollection, makeMongoBlobs } from "./blobs.ts";
import {
  checkpointChunkCollection,
  checkpointCollection,
  makeMongoCheckpoints,
} from "./checkpoints.ts";
import type { CollectionDefinition } from "./collection.ts";
import { connectToMongo, type MongoCommand, type MongoConnection } from "./connection.ts";
import { makeMongoJournal } from "./journal.ts";
import { journalCollection } from "./journal-document.ts";
import { leaseCollection, makeMongoLeases } from "./leases.ts";
import { migrate } from "./migration.ts";
import { makeMongoRecords, recordCollection } from "./records.ts";
import { makeMongoReplicas, replicaCollection } from "./replicas.ts";
import { schemaCollection } from "./schema.ts";
import { makeServerLife } from "./server-life.ts";
import { makeMongoSignals, signalCollection } from "./signals.ts";
import { makeMongoViews, streamCollection } from "./streams.ts";

/** How to open a storage. */
export interface MongoStorageOptions {
  /** Address with credentials, replica set and TLS as far as they are needed. */
  readonly uri: string;
  /** `keelson` by default. */
  readonly databaseName?: string;
  /** Record classes of all aggregates; each has a collection of its name. */
  readonly recordClasses: readonly string[];
  /** Shown in the server's logs; `keelson` by default. */
  readonly appName?: string;
  /** Deadline of every operation but appends, which bring their own; 5,000 by default. */
  readonly operationTimeoutMs?: number;
  /** How long an operation looks for a server; 2,000 by default. */
  readonly serverSelectionTimeoutMs?: number;
  /** Connections at most; 32 by default. */
  readonly poolSizeMax?: number;
  /** Sees every command before it is sent; for tracing, not cheap. */
  readonly onCommand?: (command: MongoCommand) => void;
}

const fixedCollections: readonly CollectionDefinition[] = [
  schemaCollection,
  journalCollection,
  checkpointCollection,
  checkpointChunkCollection,
  streamCollection,
  leaseCollection,
  replicaCollection,
  signalCollection,
  blobCollection,
  blobChunkCollection,
];

/** Every collection of a storage with these record classes. */
export function collectionsOf(recordClasses: readonly string[]): readonly CollectionDefinition[] {
  const taken = fixedCollections.find((collection) => recordClasses.includes(collection.name));
  if (taken !== undefined) {
    throw new RangeError(`a record class cannot be named ${taken.name}: a collection is`);
  }
  return [...fixedCollections, ...recordClasses.map(recordCollection)];
}

/** What `databaseTime` reads of the answer. */
interface TimeReply {
  readonly cursor: { readonly firstBatch: readonly { readonly now: Date }[] };
}

/** The database's own clock; an aggregate because not every server tells its time in `hello`. */
async function readDatabaseTime(connection: MongoConnection): Promise<number> {
  const reply = await connection.command<TimeReply>("storage.databaseTime", {
    aggregate: 1,
    pipeline: [{ $documents: [{}] }, { $project: { now: "$$NOW" } }],
    cursor: {},
  });
  const [answer] = reply.cursor.firstBatch;
  if (answer === undefined) throw new StorageError("unavailable", "the database has no time");
  return answer.now.getTime();
}

/**
 * Connects, refuses what it cannot work with, and brings collections and indexes up to date. Throws
 * StorageError: `unavailable` when no server answers, `incompatible` when it is the wrong one.
 */
export async function openMongoStorage(options: MongoStorageOptions): Promise<Storage> {
  const databaseName = options.databaseName ?? "keelson";
  const collections = collectionsOf(options.recordClasses);
  const connection = await connectToMongo({
    uri: options.uri,
    databaseName,
    appName: options.appName ?? "keelson",
    operationTimeoutMs: options.operationTimeoutMs ?? 5_000,
    serverSelectionTimeoutMs: options.serverSelectionTimeoutMs ?? 2_000,
    poolSizeMax: options.poolSizeMax ?? 32,
    ...(options.onCommand === undefined ? {} : { onCommand: options.onCommand }),
  });
  try {
    await migrate(connection, databaseName, collections);
  } catch (error) {
    await connection.close();
    throw error;
  }
  const { topology, version, close } = connection;
  return {
    journal: makeMongoJournal(connection, makeServerLife(connection)),
    records: makeMongoRecords(connection, options.recordClasses),
    checkpoints: makeMongoCheckpoints(connection),
    views: makeMongoViews(connection),
    leases: makeMongoLeases(connection),
    replicas: makeMongoReplicas(connection),
    signals: makeMongoSignals(connection),
    blobs: makeMongoBlobs(connection),
    facts: { topology, version, durabilityTier: "durable" },
    databaseTime: () => readDatabaseTime(connection),
    close,
  };
}
