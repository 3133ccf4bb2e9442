/**
 * The collections `checkpoints` and `checkpointChunks`: stored folds, insert-only. The head of a
 * checkpoint carries the first 4 MiB of the state and says how much there is; the rest lies in
 * chunks, written before the head, so that whoever finds a head finds all of it. Every attempt
 * writes chunks of its own, so that two servers storing the same fold cannot mix theirs.
 */
import { randomUUID } from "node:crypto";
import { Binary } from "mongodb";
import { type Revision, type StreamName, streamNameOf } from "../../core/shared/ids.ts";
import {
  type CheckpointStore,
  StorageError,
  type StoredCheckpoint,
  type StreamPoint,
} from "../../engine/ports.ts";
import { paddedRevision, shardOf } from "../../engine/stream-name.ts";
import { inCounts } from "./batches.ts";
import type { CollectionDefinition } from "./collection.ts";
import type { MongoConnection } from "./connection.ts";
import { isDuplicateKey, requireWrites, type WriteReply } from "./errors.ts";

/** Heads of checkpoints; see the header of this file. */
export const checkpointCollection: CollectionDefinition = { name: "checkpoints", indexes: [] };

/** What does not fit the head; see the header of this file. */
export const checkpointChunkCollection: CollectionDefinition = {
  name: "checkpointChunks",
  indexes: [],
};

/** The head of a checkpoint. */
interface CheckpointDocument {
  /** `<shard>:<stream>:<fold version in 12 digits>:<revision in 12 digits>`. */
  readonly _id: string;
  readonly stream: string;
  readonly revision: bigint;
  readonly foldVersion: number;
  readonly at: Date;
  readonly hash: Binary;
  /** Bytes of the whole state in UTF-8. */
  readonly stateBytes: bigint;
  readonly chunkCount: number;
  /** Names the attempt whose chunks belong to this head. */
  readonly attemptId: string;
  /** The first chunk. */
  readonly state: Binary;
}

/** A later chunk of a state. */
interface ChunkDocument {
  /** `<key of the head>:<attempt id>:<index of the chunk in 12 digits>`. */
  readonly _id: string;
  readonly state: Binary;
}

const chunkBytes = 4 * 1024 * 1024;
const streamsAtOnce = 16;

function foldPrefix(stream: StreamName, foldVersion: number): string {
  return `${shardOf(stream)}:${stream}:${paddedRevision(foldVersion)}:`;
}

function chunkKey(headKey: string, attemptId: string, index: number): string {
  return `${headKey}:${attemptId}:${paddedRevision(index)}`;
}

/** A state's bytes in chunks of 4 MiB, at least one. */
function chunksOf(stateText: string): readonly Buffer[] {
  const bytes = Buffer.from(stateText, "utf8");
  const count = Math.max(1, Math.ceil(bytes.length / chunkBytes));
  return Array.from({ length: count }, (_, index) =>
    bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  );
}

/** Throws `corrupt` when the chunks are not the whole state. */
function checkpointFromDocuments(
  head: CheckpointDocument,
  chunks: readonly ChunkDocument[],
): StoredCheckpoint {
  const bytes = Buffer.concat([head.state, ...chunks.map((chunk) => chunk.state)].map(bytesOf));
  if (bytes.length !== Number(head.stateBytes)) {
    throw new StorageError("corrupt", `the checkpoint ${head._id} is not complete`);
  }
  return {
    stream: streamNameOf(head.stream),
    revision: Number(head.revision),
    foldVersion: head.foldVersion,
    at: head.at.getTime(),
    hash: Uint8Array.from(head.hash.buffer),
    stateText: bytes.toString("utf8"),
  };
}

function bytesOf(binary: Binary): Uint8Array {
  return binary.buffer;
}

/** The checkpoints of one connection. */
export function makeMongoCheckpoints(connection: MongoConnection): CheckpointStore {
  async function insertOne(
    label: string,
    collection: string,
    document: CheckpointDocument | ChunkDocument,
  ): Promise<void> {
    const reply = await connection.command<WriteReply>(label, {
      insert: collection,
      documents: [document],
      ordered: false,
      writeConcern: connection.writeConcerns.durable,
    });
    requireWrites(label, reply, isDuplicateKey);
  }

  async function put(checkpoint: StoredCheckpoint): Promise<void> {
    const { stream, revision, foldVersion } = checkpoint;
    const headKey = `${foldPrefix(stream, foldVersion)}${paddedRevision(revision)}`;
    const attemptId = randomUUID();
    const chunks = chunksOf(checkpoint.stateText);
    for (const [index, chunk] of chunks.entries()) {
      if (index === 0) continue;
      await insertOne("checkpoints.putChunk", checkpointChunkCollection.name, {
        _id: chunkKey(headKey, attemptId, index),
        state: new Binary(chunk),
      });
    }
    await insertOne("checkpoints.put", checkpointCollection.name, {
      _id: headKey,
      stream,
      revision: BigInt(revision),
      foldVersion,
      at: new Date(checkpoint.at),
      hash: new Binary(checkpoint.hash),
      stateBytes: BigInt(chunks.reduce((sum, chunk) => sum + chunk.length, 0)),
      chunkCount: chunks.length,
      attemptId,
      state: new Binary(chunks[0] ?? Buffer.alloc(0)),
    });
  }

  async function chunksAfterHead(head: CheckpointDocument): Promise<readonly ChunkDocument[]> {
    const { _id: headKey, attemptId, chunkCount } = head;
    if (chunkCount === 1) return [];
    const from = chunkKey(headKey, attemptId, 1);
    const before = chunkKey(headKey, attemptId, chunkCount);
    return await connection.find<ChunkDocument>({
      label: "checkpoints.chunks",
      collection: checkpointChunkCollection.name,
      filter: { _id: { $gte: from, $lt: before } },
      sort: { _id: 1 },
    });
  }

  async function newest(
    stream: StreamName,
    foldVersion: number,
    revisionMax: Revision | undefined,
  ): Promise<StoredCheckpoint | undefined> {
    const prefix = foldPrefix(stream, foldVersion);
    const upTo = revisionMax === undefined ? ";" : paddedRevision(revisionMax);
    const [head] = await connection.find<CheckpointDocument>({
      label: "checkpoints.newest",
      collection: checkpointCollection.name,
      filter: { _id: { $gte: prefix, $lte: `${prefix}${upTo}` } },
      sort: { _id: -1 },
      limit: 1,
    });
    if (head === undefined) return undefined;
    return checkpointFromDocuments(head, await chunksAfterHead(head));
  }

  async function latest(
    streams: readonly StreamName[],
    foldVersion: number,
  ): Promise<readonly StoredCheckpoint[]> {
    const found: StoredCheckpoint[] = [];
    for (const some of inCounts(streams, streamsAtOnce)) {
      const answers = await Promise.all(
        some.map((stream) => newest(stream, foldVersion, undefined)),
      );
      found.push(...answers.filter((checkpoint) => checkpoint !== undefined));
    }
    return found;
  }

  return {
    put,
    latest,
    nearest: (point: StreamPoint, foldVersion) => newest(point.stream, foldVersion, point.revision),
  };
}
