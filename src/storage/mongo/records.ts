/**
 * One collection per record class: rows of what folded states forgot, insert-only. A row is found
 * by its place in the stream or by any of its lookups; lookups are indexed by a short hash, so that
 * long keys cost no more than short ones, and compared in the clear.
 */
import { hash } from "node:crypto";
import { Binary } from "mongodb";
import { type StreamName, streamNameOf } from "../../core/shared/ids.ts";
import { type RecordStore, StorageError, type StoredRecord } from "../../engine/ports.ts";
import { paddedRevision, shardOf } from "../../engine/stream-name.ts";
import { inCommands, inCounts } from "./batches.ts";
import type { CollectionDefinition } from "./collection.ts";
import type { MongoConnection } from "./connection.ts";
import { isDuplicateKey, requireWrites, type WriteReply } from "./errors.ts";

const lookupIndexName = "lookupHashes_1";

/** The collection of a record class. */
export function recordCollection(recordClass: string): CollectionDefinition {
  return {
    name: recordClass,
    indexes: [
      {
        name: lookupIndexName,
        key: { lookupHashes: 1 },
        serves: "find: the rows of a stream with one of several lookups",
      },
    ],
  };
}

/** One row as a document. */
interface RecordDocument {
  /** `<shard>:<stream>:<ordinal in 12 digits>`. */
  readonly _id: string;
  readonly stream: string;
  readonly ordinal: bigint;
  readonly lookups: readonly string[];
  /** First 16 bytes of the SHA-256 of stream and lookup, in the order of `lookups`. */
  readonly lookupHashes: readonly Binary[];
  readonly revision: bigint;
  readonly body: string;
}

const lookupHashBytes = 16;
const lookupsPerQueryMax = 1_000;
const envelopeBytes = 2 * 1024;

function rowKey(stream: StreamName, ordinal: number): string {
  return `${shardOf(stream)}:${stream}:${paddedRevision(ordinal)}`;
}

function lookupHash(stream: StreamName, lookup: string): Binary {
  const digest = hash("sha256", `${stream}:${lookup}`, "buffer");
  return new Binary(digest.subarray(0, lookupHashBytes));
}

function recordToDocument(row: StoredRecord): RecordDocument {
  return {
    _id: rowKey(row.stream, row.ordinal),
    stream: row.stream,
    ordinal: BigInt(row.ordinal),
    lookups: row.lookups,
    lookupHashes: row.lookups.map((lookup) => lookupHash(row.stream, lookup)),
    revision: BigInt(row.revision),
    body: row.bodyText,
  };
}

function recordFromDocument(recordClass: string, document: RecordDocument): StoredRecord {
  return {
    stream: streamNameOf(document.stream),
    recordClass,
    ordinal: Number(document.ordinal),
    lookups: document.lookups,
    revision: Number(document.revision),
    bodyText: document.body,
  };
}

function rowBytes(row: StoredRecord): number {
  const lookupBytes = row.lookups.reduce((sum, lookup) => sum + Buffer.byteLength(lookup) + 64, 0);
  return Buffer.byteLength(row.bodyText) + lookupBytes + envelopeBytes;
}

/** The records of one connection, in the collections of these classes. */
export function makeMongoRecords(
  connection: MongoConnection,
  recordClasses: readonly string[],
): RecordStore {
  function collectionOf(recordClass: string): string {
    if (recordClasses.includes(recordClass)) return recordClass;
    throw new StorageError("rejected", `the record class ${recordClass} was not declared`);
  }

  async function insertInto(recordClass: string, rows: readonly StoredRecord[]): Promise<void> {
    const label = "records.insert";
    for (const batch of inCommands(rows, rowBytes)) {
      const reply = await connection.command<WriteReply>(label, {
        insert: collectionOf(recordClass),
        documents: batch.map(recordToDocument),
        ordered: false,
        writeConcern: connection.writeConcerns.durable,
      });
      requireWrites(label, reply, isDuplicateKey);
    }
  }

  async function insert(rows: readonly StoredRecord[]): Promise<void> {
    const byClass = Map.groupBy(rows, (row) => row.recordClass);
    for (const [recordClass, some] of byClass) await insertInto(recordClass, some);
  }

  async function find(
    stream: StreamName,
    recordClass: string,
    lookups: readonly string[],
  ): Promise<readonly StoredRecord[]> {
    const wanted = new Set(lookups);
    const rows = new Map<number, StoredRecord>();
    for (const some of inCounts([...wanted], lookupsPerQueryMax)) {
      const documents = await connection.find<RecordDocument>({
        label: "records.find",
        collection: collectionOf(recordClass),
        filter: { lookupHashes: { $in: some.map((lookup) => lookupHash(stream, lookup)) } },
        hint: lookupIndexName,
      });
      for (const document of documents) {
        const row = recordFromDocument(recordClass, document);
        const isWanted = row.stream === stream && row.lookups.some((lookup) => wanted.has(lookup));
        if (isWanted) rows.set(row.ordinal, row);
      }
    }
    return [...rows.values()].sort((left, right) => left.ordinal - right.ordinal);
  }

  async function list(
    stream: StreamName,
    recordClass: string,
    afterOrdinal: number,
    limit: number,
  ): Promise<readonly StoredRecord[]> {
    const documents = await connection.find<RecordDocument>({
      label: "records.list",
      collection: collectionOf(recordClass),
      filter: { _id: { $gt: rowKey(stream, afterOrdinal), $lt: `${shardOf(stream)}:${stream};` } },
      sort: { _id: 1 },
      limit,
    });
    return documents.map((document) => recordFromDocument(recordClass, document));
  }

  return { insert, find, list };
}
