/**
 * Brings the collections and indexes of a database to this version, at every start and from any
 * number of servers at once: every step may be repeated. A database that a newer version has
 * written is left alone.
 */
import { StorageError } from "../../engine/ports.ts";
import type { CollectionDefinition, IndexDefinition } from "./collection.ts";
import type { MongoConnection } from "./connection.ts";
import { isNamespaceExists, requireWrites, type WriteReply } from "./errors.ts";
import { journalCollection } from "./journal-document.ts";
import {
  schemaCollection,
  schemaVersion,
  type VersionDocument,
  versionDocumentId,
} from "./schema.ts";

/** An index build over a full collection takes its time. */
const indexBuildTimeoutMs = 10 * 60_000;

/** How the router of a sharded cluster describes a collection. */
interface ShardedCollectionDocument {
  readonly key: Readonly<Record<string, unknown>>;
}

async function refuseNewerSchema(connection: MongoConnection): Promise<void> {
  const [found] = await connection.find<VersionDocument>({
    label: "schema.read",
    collection: schemaCollection.name,
    filter: { _id: versionDocumentId },
  });
  if (found === undefined || found.version <= schemaVersion) return;
  throw new StorageError(
    "incompatible",
    `the database has schema version ${found.version}, this server knows up to ` +
      `${schemaVersion}: start a newer server`,
  );
}

/** Revisions are unique only if every document of a key lives on the same shard. */
async function requireShardKey(connection: MongoConnection, databaseName: string): Promise<void> {
  if (connection.topology !== "sharded") return;
  const [sharded] = await connection.find<ShardedCollectionDocument>({
    label: "schema.shardKey",
    databaseName: "config",
    collection: "collections",
    filter: { _id: `${databaseName}.${journalCollection.name}` },
  });
  if (sharded === undefined) return;
  const fields = Object.entries(sharded.key);
  if (fields.length === 1 && Number(sharded.key["_id"]) === 1) return;
  throw new StorageError(
    "incompatible",
    `the collection ${journalCollection.name} is sharded by ${JSON.stringify(sharded.key)}: ` +
      'its shard key must be {"_id": 1}',
  );
}

async function createCollection(
  connection: MongoConnection,
  collection: CollectionDefinition,
): Promise<void> {
  const { name, cappedBytes } = collection;
  const capped = cappedBytes === undefined ? {} : { capped: true, size: cappedBytes };
  try {
    await connection.command("schema.create", {
      create: name,
      ...capped,
      writeConcern: connection.writeConcerns.durable,
    });
  } catch (error) {
    const cause = error instanceof StorageError ? error.cause : undefined;
    if (!isNamespaceExists(cause)) throw error;
  }
}

function indexToDocument(index: IndexDefinition): Readonly<Record<string, unknown>> {
  const { name, key, partialFilter, isUnique, expireAfterSeconds } = index;
  return {
    name,
    key,
    ...(partialFilter === undefined ? {} : { partialFilterExpression: partialFilter }),
    ...(isUnique === undefined ? {} : { unique: true }),
    ...(expireAfterSeconds === undefined ? {} : { expireAfterSeconds }),
  };
}

async function createIndexes(
  connection: MongoConnection,
  collection: CollectionDefinition,
): Promise<void> {
  if (collection.indexes.length === 0) return;
  await connection.command(
    "schema.createIndexes",
    {
      createIndexes: collection.name,
      indexes: collection.indexes.map(indexToDocument),
      writeConcern: connection.writeConcerns.durable,
    },
    indexBuildTimeoutMs,
  );
}

async function recordVersion(connection: MongoConnection): Promise<void> {
  const label = "schema.record";
  const update = { $max: { version: schemaVersion } };
  const reply = await connection.command<WriteReply>(label, {
    update: schemaCollection.name,
    updates: [{ q: { _id: versionDocumentId }, u: update, upsert: true }],
    writeConcern: connection.writeConcerns.durable,
  });
  requireWrites(label, reply);
}

/** Throws StorageError `incompatible` when this server must not use the database. */
export async function migrate(
  connection: MongoConnection,
  databaseName: string,
  collections: readonly CollectionDefinition[],
): Promise<void> {
  await refuseNewerSchema(connection);
  await requireShardKey(connection, databaseName);
  for (const collection of collections) {
    await createCollection(connection, collection);
    await createIndexes(connection, collection);
  }
  await recordVersion(connection);
}
