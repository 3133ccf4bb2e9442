/**
 * Binary content beside the journal: takes it in piece by piece, checks what was said of it, and
 * ties it to the commits that refer to it.
 *
 * A commit that refers to blobs is made under a pin. The pin is durable before the commit is tried;
 * it becomes a mark for ever when the commit has landed, also when that is not known, and is taken
 * back only when the commit surely did not happen. So whatever the history refers to is there, and
 * what a crash leaves behind is a blob too many, never one too few.
 */
import { createHash } from "node:crypto";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { EngineObserver } from "./observer.ts";
import type { BlobKey, BlobStore, Clock, Entropy, OpenBlob, StoredBlob } from "./ports.ts";

/** Size of the pieces that larger content is stored in. */
const BLOB_PIECE_BYTES = 1024 * 1024;

const COLLECT_MS = 60_000;
const COLLECT_ROWS = 200;

/** What the sender said of a content; it must be so. */
export interface StatedContent {
  readonly digest?: string;
  readonly bytes?: number;
}

/** What a commit refers to: by digest, with the content where it is still to be stored. */
export type BlobUses = ReadonlyMap<string, Uint8Array | null>;

/** The blobs of a process. */
export interface Blobs {
  /** Stores a content. Refuses BLOB_TOO_LARGE and BLOB_DIGEST_MISMATCH. */
  readonly put: (
    namespace: string,
    content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    stated: StatedContent,
  ) => Promise<StoredBlob>;
  /** Refuses BLOB_NOT_FOUND. */
  readonly stat: (key: BlobKey) => Promise<StoredBlob>;
  /** Refuses BLOB_NOT_FOUND. */
  readonly open: (key: BlobKey) => Promise<OpenBlob>;
  /**
   * Stores what is to be stored, keeps it and what is there already, and makes the commit that
   * refers to it. `isReferred` says of its outcome whether the history refers to the blobs now.
   * Refuses BLOB_NOT_FOUND, before the commit is tried.
   */
  readonly referring: <Outcome>(
    namespace: string,
    uses: BlobUses,
    commit: () => Promise<Outcome>,
    isReferred: (outcome: Outcome) => boolean,
  ) => Promise<Outcome>;
  /** Starts to collect what has expired, until `stop`. */
  readonly start: () => void;
  readonly stop: () => void;
}

/** What blobs work with. */
export interface BlobsOptions {
  readonly store: BlobStore;
  readonly clock: Pick<Clock, "after">;
  readonly entropy: Pick<Entropy, "freshId">;
  readonly observer: Pick<EngineObserver, "backgroundFailed">;
  readonly blobBytesMax: number;
  /** How long a blob is kept that nothing refers to. */
  readonly blobGraceMs: number;
}

/** The refusal of a blob that is not there. */
export function blobNotFound(digest: string): RefusedError {
  const message = "There is no such blob in this namespace; store its content again";
  return new RefusedError(refusalOf("BLOB_NOT_FOUND", message, { digest }));
}

function uploadExpired(): RefusedError {
  const message = "The upload was given up because its next piece did not come; send it again";
  return new RefusedError(refusalOf("BLOB_NOT_FOUND", message));
}

function tooLarge(limitBytes: number, actualBytes: number): RefusedError {
  const message = `The blob has at least ${actualBytes} bytes, at most ${limitBytes} are allowed`;
  return new RefusedError(refusalOf("BLOB_TOO_LARGE", message, { limitBytes, actualBytes }));
}

function assertStated(stated: StatedContent, digest: string, bytes: number): void {
  const isDigest = stated.digest === undefined || stated.digest === digest;
  if (isDigest && (stated.bytes === undefined || stated.bytes === bytes)) return;
  const message = "The content is not what was stated; nothing was stored";
  const metadata = {
    digest,
    bytes,
    ...(stated.digest === undefined ? {} : { statedDigest: stated.digest }),
    ...(stated.bytes === undefined ? {} : { statedBytes: stated.bytes }),
  };
  throw new RefusedError(refusalOf("BLOB_DIGEST_MISMATCH", message, metadata));
}

/** Reasons of refusals after which the commit may have been made all the same. */
const IN_DOUBT: ReadonlySet<string> = new Set([
  "OUTCOME_UNKNOWN",
  "DATABASE_UNAVAILABLE",
  "SERVER_DRAINING",
  "NOT_READY",
  "CONFLICT",
  "STREAM_CORRUPT",
  "STREAM_QUARANTINED",
  "INTERNAL",
]);

function surelyFailed(error: unknown): boolean {
  return error instanceof RefusedError && !IN_DOUBT.has(error.refusal.reason);
}

/** Cuts a content into pieces of one size, the last one smaller. */
async function* piecesOf(
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of content) {
    let rest = part;
    while (size + rest.byteLength >= BLOB_PIECE_BYTES) {
      const room = BLOB_PIECE_BYTES - size;
      yield Buffer.concat([...parts, rest.subarray(0, room)]);
      rest = rest.subarray(room);
      parts = [];
      size = 0;
    }
    if (rest.byteLength > 0) parts.push(rest);
    size += rest.byteLength;
  }
  if (size > 0) yield Buffer.concat(parts);
}

/** Makes the blobs of a process. */
export function makeBlobs(options: BlobsOptions): Blobs {
  const { store, clock, entropy, observer, blobBytesMax, blobGraceMs } = options;
  let stopped = false;

  function assertFits(bytes: number): void {
    if (bytes > blobBytesMax) throw tooLarge(blobBytesMax, bytes);
  }

  /** Sends pieces to an upload; the first one is held back, because it may be the only one. */
  async function put(
    namespace: string,
    content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    stated: StatedContent,
  ): Promise<StoredBlob> {
    if (stated.bytes !== undefined) assertFits(stated.bytes);
    const hash = createHash("sha256");
    const uploadId = entropy.freshId();
    let first: Uint8Array = new Uint8Array();
    let chunkCount = 0;
    let bytes = 0;
    let hasBegun = false;
    const append = async (index: number, piece: Uint8Array): Promise<void> => {
      if (await store.append(uploadId, index, piece, blobGraceMs)) return;
      throw uploadExpired();
    };
    try {
      for await (const piece of piecesOf(content)) {
        bytes += piece.byteLength;
        assertFits(bytes);
        hash.update(piece);
        if (chunkCount === 0) first = piece;
        if (chunkCount === 1) {
          hasBegun = true;
          await store.begin(uploadId, namespace, blobGraceMs);
          await append(0, first);
        }
        if (chunkCount > 0) await append(chunkCount, piece);
        chunkCount += 1;
      }
      const digest = hash.digest("hex");
      assertStated(stated, digest, bytes);
      const key = { namespace, digest };
      if (chunkCount <= 1) return await store.put(key, first, blobGraceMs);
      const stored = await store.finish(uploadId, { ...key, bytes, chunkCount }, blobGraceMs);
      if (stored) return stored;
      throw uploadExpired();
    } catch (error) {
      if (hasBegun) await drop(uploadId);
      throw error;
    }
  }

  /** What cannot be dropped now expires. */
  async function drop(uploadId: string): Promise<void> {
    try {
      await store.abandon(uploadId);
    } catch (error) {
      observer.backgroundFailed("end of an upload", error);
    }
  }

  function background(task: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => observer.backgroundFailed(task, error));
  }

  async function referring<Outcome>(
    namespace: string,
    uses: BlobUses,
    commit: () => Promise<Outcome>,
    isReferred: (outcome: Outcome) => boolean,
  ): Promise<Outcome> {
    for (const [digest, content] of uses) {
      if (content !== null) await put(namespace, [content], { digest });
    }
    const keys = [...uses.keys()].map((digest) => ({ namespace, digest }));
    const pinId = entropy.freshId();
    const unpin = (): void => background("release of blobs", store.unpin(keys, pinId, blobGraceMs));
    const [missing] = await store.pin(keys, pinId);
    if (missing !== undefined) {
      unpin();
      throw blobNotFound(missing.digest);
    }
    try {
      const outcome = await commit();
      if (isReferred(outcome)) background("mark of blobs", store.keep(keys, pinId));
      else unpin();
      return outcome;
    } catch (error) {
      // In doubt the pin stays: the history may refer to the blobs.
      if (surelyFailed(error)) unpin();
      throw error;
    }
  }

  async function collect(): Promise<void> {
    let isMore = false;
    try {
      isMore = (await store.collect(COLLECT_ROWS)) >= COLLECT_ROWS;
    } catch (error) {
      observer.backgroundFailed("collection of blobs", error);
    }
    const delayMs = isMore ? 0 : Math.min(COLLECT_MS, blobGraceMs);
    clock.after(delayMs, () => {
      if (!stopped) void collect();
    });
  }

  return {
    put,
    stat: async (key) => {
      const found = await store.stat(key);
      if (found) return found;
      throw blobNotFound(key.digest);
    },
    open: async (key) => {
      const found = await store.open(key);
      if (found) return found;
      throw blobNotFound(key.digest);
    },
    referring,
    start: () => void collect(),
    stop: () => {
      stopped = true;
    },
  };
}
