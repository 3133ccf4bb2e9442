/** Blobs in memory, timed by the database's clock. */
import type {
  BlobKey,
  BlobStore,
  Clock,
  FinishedUpload,
  OpenBlob,
  StoredBlob,
} from "../../engine/ports.ts";
import type { MemoryGate } from "./gate.ts";
import type { WriteLog } from "./write-log.ts";

/** A blob, or an upload that is to become one; never changed in place. */
interface BlobEntry {
  readonly uploadId: string;
  readonly pieces: readonly Uint8Array[];
  /** Absent while it is being uploaded. */
  readonly blob?: Omit<StoredBlob, "expiresAt">;
  readonly expiresAt?: number;
  readonly pins: ReadonlySet<string>;
  readonly isKept: boolean;
}

/** The blobs of a memory database, shared by its connections. */
export interface BlobTable {
  readonly put: (key: BlobKey, content: Uint8Array, graceMs: number) => StoredBlob;
  readonly begin: (uploadId: string, graceMs: number) => void;
  readonly append: (uploadId: string, index: number, piece: Uint8Array, graceMs: number) => boolean;
  readonly finish: (
    uploadId: string,
    upload: FinishedUpload,
    graceMs: number,
  ) => StoredBlob | undefined;
  readonly abandon: (uploadId: string) => void;
  readonly stat: (key: BlobKey) => StoredBlob | undefined;
  readonly pieces: (key: BlobKey) => readonly Uint8Array[] | undefined;
  readonly pin: (key: BlobKey, pinId: string) => boolean;
  readonly keep: (key: BlobKey, pinId: string) => void;
  readonly unpin: (key: BlobKey, pinId: string, graceMs: number) => void;
  readonly collect: (limit: number) => number;
}

function keyText({ namespace, digest }: BlobKey): string {
  return `${encodeURIComponent(namespace)}/${digest}`;
}

function storedOf(entry: BlobEntry): StoredBlob | undefined {
  const { blob, expiresAt } = entry;
  return blob && { ...blob, ...(expiresAt === undefined ? {} : { expiresAt }) };
}

function withoutExpiry({ expiresAt: _expiresAt, ...entry }: BlobEntry): BlobEntry {
  return entry;
}

/** No blobs yet. */
export function makeBlobTable(log: WriteLog, clock: Clock): BlobTable {
  /** Blobs by key, and uploads by their id. */
  const entries = new Map<string, BlobEntry>();

  function write(name: string, entry: BlobEntry | undefined): void {
    const former = entries.get(name);
    const set = (value: BlobEntry | undefined): void => {
      if (value === undefined) entries.delete(name);
      else entries.set(name, value);
    };
    set(entry);
    log.wrote(() => set(former));
  }

  function renew(name: string, graceMs: number): BlobEntry | undefined {
    const entry = entries.get(name);
    if (entry?.expiresAt === undefined) return entry;
    const expiresAt = Math.max(entry.expiresAt, clock.nowMs() + graceMs);
    const renewed = { ...entry, expiresAt };
    write(name, renewed);
    return renewed;
  }

  function store(
    key: BlobKey,
    pieces: readonly Uint8Array[],
    upload: Pick<FinishedUpload, "bytes" | "chunkCount">,
    graceMs: number,
  ): StoredBlob | undefined {
    const present = renew(keyText(key), graceMs);
    if (present) return storedOf(present);
    const storedAt = clock.nowMs();
    const { namespace, digest } = key;
    const { bytes, chunkCount } = upload;
    const entry: BlobEntry = {
      uploadId: keyText(key),
      pieces,
      blob: { namespace, digest, bytes, chunkCount, storedAt },
      expiresAt: storedAt + graceMs,
      pins: new Set(),
      isKept: false,
    };
    write(keyText(key), entry);
    return storedOf(entry);
  }

  function append(uploadId: string, index: number, piece: Uint8Array, graceMs: number): boolean {
    const entry = renew(uploadId, graceMs);
    if (!entry) return false;
    write(uploadId, { ...entry, pieces: entry.pieces.toSpliced(index, 1, piece.slice()) });
    return true;
  }

  function unpin(key: BlobKey, pinId: string, graceMs: number): void {
    const entry = entries.get(keyText(key));
    if (!entry?.pins.has(pinId)) return;
    const pins = new Set([...entry.pins].filter((other) => other !== pinId));
    const expiry = pins.size === 0 ? { expiresAt: clock.nowMs() + graceMs } : {};
    write(keyText(key), { ...entry, pins, ...expiry });
  }

  function collect(limit: number): number {
    const now = clock.nowMs();
    const expired = [...entries]
      .filter(([, { expiresAt }]) => expiresAt !== undefined && expiresAt < now)
      .slice(0, limit);
    for (const [name] of expired) write(name, undefined);
    return expired.length;
  }

  return {
    put: (key, content, graceMs) => {
      const upload = { bytes: content.byteLength, chunkCount: 1 };
      const stored = store(key, [content.slice()], upload, graceMs);
      if (stored === undefined) throw new RangeError("a key leads to an upload");
      return stored;
    },
    begin: (uploadId, graceMs) => {
      const expiresAt = clock.nowMs() + graceMs;
      write(uploadId, { uploadId, pieces: [], expiresAt, pins: new Set(), isKept: false });
    },
    append,
    finish: (uploadId, upload, graceMs) => {
      const entry = entries.get(uploadId);
      if (entry === undefined) {
        const present = renew(keyText(upload), graceMs);
        return present && storedOf(present);
      }
      write(uploadId, undefined);
      return store(upload, entry.pieces, upload, graceMs);
    },
    abandon: (uploadId) => write(uploadId, undefined),
    stat: (key) => {
      const entry = entries.get(keyText(key));
      return entry && storedOf(entry);
    },
    pieces: (key) => entries.get(keyText(key))?.pieces,
    pin: (key, pinId) => {
      const entry = entries.get(keyText(key));
      if (!entry) return false;
      const pins = entry.isKept ? entry.pins : new Set([...entry.pins, pinId]);
      write(keyText(key), { ...withoutExpiry(entry), pins });
      return true;
    },
    keep: (key, pinId) => {
      const entry = entries.get(keyText(key));
      if (!entry?.pins.has(pinId)) return;
      write(keyText(key), { ...withoutExpiry(entry), pins: new Set(), isKept: true });
    },
    unpin,
    collect,
  };
}

/** The blobs as one connection sees them. */
export function makeMemoryBlobs(table: BlobTable, gate: MemoryGate): BlobStore {
  const port = "blobs";

  async function open(key: BlobKey): Promise<OpenBlob | undefined> {
    const blob = await gate.run(port, "open", false, () => table.stat(key));
    if (!blob) return undefined;
    return {
      blob,
      chunk: (index) => gate.run(port, "chunk", false, () => table.pieces(key)?.[index]),
    };
  }

  return {
    put: (key, content, graceMs) =>
      gate.run(port, "put", true, () => table.put(key, content, graceMs)),
    begin: (uploadId, _namespace, graceMs) =>
      gate.run(port, "begin", true, () => {
        table.begin(uploadId, graceMs);
      }),
    append: (uploadId, index, piece, graceMs) =>
      gate.run(port, "append", true, () => table.append(uploadId, index, piece, graceMs)),
    finish: (uploadId, upload, graceMs) =>
      gate.run(port, "finish", true, () => table.finish(uploadId, upload, graceMs)),
    abandon: (uploadId) =>
      gate.run(port, "abandon", true, () => {
        table.abandon(uploadId);
      }),
    stat: (key) => gate.run(port, "stat", false, () => table.stat(key)),
    open,
    pin: (keys, pinId) =>
      gate.run(port, "pin", true, () => keys.filter((key) => !table.pin(key, pinId))),
    keep: (keys, pinId) =>
      gate.run(port, "keep", true, () => {
        for (const key of keys) table.keep(key, pinId);
      }),
    unpin: (keys, pinId, graceMs) =>
      gate.run(port, "unpin", true, () => {
        for (const key of keys) table.unpin(key, pinId, graceMs);
      }),
    collect: (limit) => gate.run(port, "collect", true, () => table.collect(limit)),
  };
}
