/**
 * The collections `blobs` and `blobChunks`: binary content by its digest. A blob is one document
 * that goes through `uploading`, `stored` and `condemned`; small content lies in it, larger content
 * in chunks that are written before it is `stored`. Every step is an update of that one document
 * with the database's own time, so that uploads, references and the collector cannot pass each
 * other unseen. A condemned blob has lost its key: the same content may be stored anew at once.
 */
import { randomUUID } from "node:crypto";
import { Binary } from "mongodb";
import {
  type BlobKey,
  type BlobStore,
  type FinishedUpload,
  type OpenBlob,
  StorageError,
  type StoredBlob,
} from "../../engine/ports.ts";
import { paddedRevision } from "../../engine/stream-name.ts";
import type { CollectionDefinition } from "./collection.ts";
import type { MongoConnection } from "./connection.ts";
import { isDuplicateKey, requireWriteConcern, requireWrites, type WriteReply } from "./errors.ts";
import type { WriteConcerns } from "./topology.ts";

const keyIndexName = "key_1";
const expiryIndexName = "expiresAt_1";

/** See the header of this file. */
export const blobCollection: CollectionDefinition = {
  name: "blobs",
  indexes: [
    {
      name: keyIndexName,
      key: { key: 1 },
      partialFilter: { key: { $exists: true } },
      isUnique: true,
      serves: "a blob by its namespace and digest; stores each content once",
    },
    {
      name: expiryIndexName,
      key: { expiresAt: 1 },
      partialFilter: { expiresAt: { $exists: true } },
      serves: "collect: uploads and blobs whose time is over, earliest first",
    },
  ],
};

/** The pieces of larger content; see the header of this file. */
export const blobChunkCollection: CollectionDefinition = { name: "blobChunks", indexes: [] };

/** One blob, or one upload that is to become one. */
interface BlobDocument {
  /** The upload that wrote it, a UUID. */
  readonly _id: string;
  readonly state: "uploading" | "stored" | "condemned";
  readonly namespace: string;
  /** `<namespace, percent-encoded>/<digest>`; only while it is stored. */
  readonly key?: string;
  readonly digest?: string;
  readonly bytes?: bigint;
  readonly chunkCount?: number;
  readonly storedAt?: Date;
  /** Absent while it is pinned, and once it is kept. */
  readonly expiresAt?: Date;
  /** Set once a commit refers to it. */
  readonly isKept?: true;
  /** References that are being committed. */
  readonly pins?: readonly string[];
  /** Content in one piece. */
  readonly content?: Binary;
}

/** A piece of a larger content. */
interface ChunkDocument {
  /** `<upload>:<index in 12 digits>`. */
  readonly _id: string;
  readonly content: Binary;
}

/** The members of the answer to `findAndModify` that are read. */
interface ModifyReply extends WriteReply {
  readonly value: BlobDocument | null;
}

interface UpdateReply extends WriteReply {
  readonly n: number;
}

type Filter = Readonly<Record<string, unknown>>;

/** How often a store may meet the removal of the same content. */
const roundsMax = 10;

function keyText({ namespace, digest }: BlobKey): string {
  return `${encodeURIComponent(namespace)}/${digest}`;
}

function chunkId(uploadId: string, index: number): string {
  return `${uploadId}:${paddedRevision(index)}`;
}

function inFuture(graceMs: number): Filter {
  return { $add: ["$$NOW", graceMs] };
}

/** Keeps what has a time at least so long; what has none stays without. */
function renewStage(graceMs: number): Filter {
  const later = { $max: ["$expiresAt", inFuture(graceMs)] };
  const isKept = { $eq: [{ $type: "$expiresAt" }, "missing"] };
  return { $set: { expiresAt: { $cond: [isKept, "$$REMOVE", later] } } };
}

function blobFromDocument(document: BlobDocument): StoredBlob {
  const { namespace, digest, bytes, chunkCount, storedAt, expiresAt } = document;
  if (digest === undefined || bytes === undefined || storedAt === undefined) {
    throw new StorageError("corrupt", `the blob ${document._id} is stored but not complete`);
  }
  return {
    namespace,
    digest,
    bytes: Number(bytes),
    chunkCount: chunkCount ?? 1,
    storedAt: storedAt.getTime(),
    ...(expiresAt === undefined ? {} : { expiresAt: expiresAt.getTime() }),
  };
}

/** The blobs of one connection. */
export function makeMongoBlobs(connection: MongoConnection): BlobStore {
  const collection = blobCollection.name;

  async function update(
    label: string,
    filter: Filter,
    pipeline: readonly Filter[],
    options: { readonly upsert?: true; readonly durability?: keyof WriteConcerns } = {},
  ): Promise<number> {
    const { upsert = false, durability = "durable" } = options;
    const reply = await connection.command<UpdateReply>(label, {
      update: collection,
      updates: [{ q: filter, u: pipeline, upsert, multi: false }],
      writeConcern: connection.writeConcerns[durability],
    });
    requireWrites(label, reply, isDuplicateKey);
    return reply.writeErrors === undefined ? reply.n : 0;
  }

  async function remove(label: string, from: string, filter: Filter, limit: 0 | 1): Promise<void> {
    const reply = await connection.command<WriteReply>(label, {
      delete: from,
      deletes: [{ q: filter, limit }],
      writeConcern: connection.writeConcerns.durable,
    });
    requireWrites(label, reply);
  }

  async function find(label: string, key: BlobKey): Promise<BlobDocument | undefined> {
    const [document] = await connection.find<BlobDocument>({
      label,
      collection,
      filter: { key: keyText(key) },
      hint: keyIndexName,
    });
    return document;
  }

  async function renewed(key: BlobKey, graceMs: number): Promise<StoredBlob | undefined> {
    const found = await update("blobs.renew", { key: keyText(key) }, [renewStage(graceMs)]);
    const document = found === 0 ? undefined : await find("blobs.find", key);
    return document && blobFromDocument(document);
  }

  async function put(key: BlobKey, content: Uint8Array, graceMs: number): Promise<StoredBlob> {
    const fixed = {
      _id: randomUUID(),
      state: "stored",
      key: keyText(key),
      ...key,
      bytes: BigInt(content.byteLength),
      chunkCount: 1,
      content: new Binary(content),
    };
    const fresh = {
      $mergeObjects: [{ $literal: fixed }, { storedAt: "$$NOW", expiresAt: "$$NOW" }],
    };
    const isNew = { $eq: [{ $type: "$state" }, "missing"] };
    for (let round = 0; round < roundsMax; round += 1) {
      const reply = await connection.command<ModifyReply>("blobs.put", {
        findAndModify: collection,
        query: { key: keyText(key) },
        update: [{ $replaceWith: { $cond: [isNew, fresh, "$$ROOT"] } }, renewStage(graceMs)],
        upsert: true,
        new: true,
        fields: { content: 0 },
        writeConcern: connection.writeConcerns.durable,
      });
      requireWriteConcern("blobs.put", reply);
      if (reply.value) return blobFromDocument(reply.value);
    }
    throw new StorageError("unavailable", "blobs.put: the content is contended");
  }

  async function dropChunks(uploadId: string): Promise<void> {
    // `;` follows `:`, so the range holds the chunks of this upload and no others.
    const filter = { _id: { $gte: `${uploadId}:`, $lt: `${uploadId};` } };
    await remove("blobs.dropChunks", blobChunkCollection.name, filter, 0);
  }

  /** Takes the key away, so that nobody can refer to it; then removes it piece by piece. */
  async function drop(uploadId: string, condition: Filter): Promise<boolean> {
    const stages = [{ $set: { state: "condemned", expiresAt: "$$NOW" } }, { $unset: "key" }];
    const filter = { _id: uploadId, ...condition };
    if ((await update("blobs.condemn", filter, stages)) === 0) return false;
    await dropChunks(uploadId);
    await remove("blobs.drop", collection, { _id: uploadId, state: "condemned" }, 1);
    return true;
  }

  async function append(
    uploadId: string,
    index: number,
    piece: Uint8Array,
    graceMs: number,
  ): Promise<boolean> {
    const label = "blobs.append";
    const filter = { _id: uploadId, state: "uploading" };
    const isLive = await update("blobs.renewUpload", filter, [renewStage(graceMs)], {
      durability: "replicated",
    });
    if (isLive === 0) return false;
    const document: ChunkDocument = { _id: chunkId(uploadId, index), content: new Binary(piece) };
    const reply = await connection.command<WriteReply>(label, {
      insert: blobChunkCollection.name,
      documents: [document],
      writeConcern: connection.writeConcerns.durable,
    });
    requireWrites(label, reply, isDuplicateKey);
    return true;
  }

  async function finish(
    uploadId: string,
    upload: FinishedUpload,
    graceMs: number,
  ): Promise<StoredBlob | undefined> {
    const { namespace, digest, bytes, chunkCount } = upload;
    const facts = { state: "stored", digest, bytes: BigInt(bytes), chunkCount };
    const times = { storedAt: "$$NOW", expiresAt: inFuture(graceMs) };
    const stage = { $set: { ...facts, key: keyText({ namespace, digest }), ...times } };
    for (let round = 0; round < roundsMax; round += 1) {
      const filter = { _id: uploadId, state: "uploading" };
      await update("blobs.finish", filter, [stage]);
      const present = await renewed(upload, graceMs);
      if (!present) {
        const [own] = await connection.find<BlobDocument>({
          label: "blobs.own",
          collection,
          filter: { _id: uploadId },
        });
        if (own?.state === "uploading") continue;
        return undefined;
      }
      // Where the content was there before, the own pieces are not needed.
      await drop(uploadId, { state: "uploading" });
      return present;
    }
    throw new StorageError("unavailable", "blobs.finish: the content is contended");
  }

  async function open(key: BlobKey): Promise<OpenBlob | undefined> {
    const document = await find("blobs.find", key);
    if (!document) return undefined;
    const { _id: uploadId, content } = document;
    return {
      blob: blobFromDocument(document),
      chunk: async (index) => {
        if (content !== undefined) return content.buffer;
        const [chunk] = await connection.find<ChunkDocument>({
          label: "blobs.chunk",
          collection: blobChunkCollection.name,
          filter: { _id: chunkId(uploadId, index) },
        });
        return chunk?.content.buffer;
      },
    };
  }

  async function pin(keys: readonly BlobKey[], pinId: string): Promise<readonly BlobKey[]> {
    const isKept = { $eq: ["$isKept", true] };
    const pins = { $setUnion: [{ $ifNull: ["$pins", []] }, [pinId]] };
    const stage = {
      $set: { expiresAt: "$$REMOVE", pins: { $cond: [isKept, "$$REMOVE", pins] } },
    };
    const missing: BlobKey[] = [];
    for (const key of keys) {
      const found = await update("blobs.pin", { key: keyText(key) }, [stage]);
      if (found === 0) missing.push(key);
    }
    return missing;
  }

  async function unpin(keys: readonly BlobKey[], pinId: string, graceMs: number): Promise<void> {
    const rest = { $setDifference: ["$pins", [pinId]] };
    const isLast = { $eq: ["$pins", []] };
    const stages = [
      { $set: { pins: rest } },
      {
        $set: {
          expiresAt: { $cond: [isLast, inFuture(graceMs), "$$REMOVE"] },
          pins: { $cond: [isLast, "$$REMOVE", "$pins"] },
        },
      },
    ];
    for (const key of keys) {
      await update("blobs.unpin", { key: keyText(key), pins: pinId }, stages);
    }
  }

  async function collect(limit: number): Promise<number> {
    const expired = { $expr: { $lt: ["$expiresAt", "$$NOW"] } };
    const found = await connection.find<Pick<BlobDocument, "_id">>({
      label: "blobs.expired",
      collection,
      filter: expired,
      sort: { expiresAt: 1 },
      hint: expiryIndexName,
      projection: { _id: 1 },
      limit,
    });
    let removed = 0;
    for (const { _id: uploadId } of found) {
      const condition = { expiresAt: { $exists: true }, ...expired };
      if (await drop(uploadId, condition)) removed += 1;
    }
    return removed;
  }

  return {
    put,
    begin: async (uploadId, namespace, graceMs) => {
      const facts = { namespace, state: "uploading", expiresAt: inFuture(graceMs) };
      await update("blobs.begin", { _id: uploadId }, [{ $set: facts }], { upsert: true });
    },
    append,
    finish,
    abandon: async (uploadId) => {
      await drop(uploadId, { state: "uploading" });
    },
    stat: async (key) => {
      const document = await find("blobs.find", key);
      return document && blobFromDocument(document);
    },
    open,
    pin,
    keep: async (keys, pinId) => {
      const stage = { $set: { isKept: true, pins: "$$REMOVE", expiresAt: "$$REMOVE" } };
      for (const key of keys) {
        await update("blobs.keep", { key: keyText(key), pins: pinId }, [stage]);
      }
    },
    unpin,
    collect,
  };
}
