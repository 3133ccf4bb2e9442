/**
 * What the engine needs from the outside: a storage in three classes (journal, records, views), the
 * registers beside it, signals between replicas, a clock and a source of randomness. Two adapters
 * implement the storage (MongoDB, memory); one conformance suite judges both.
 */
import type { StreamSummary } from "../core/shared/aggregate.ts";
import type { Revision, StreamName, TimeMs } from "../core/shared/ids.ts";

/** One commit as it is stored; insert-only. */
export interface StoredCommit {
  readonly stream: StreamName;
  readonly revision: Revision;
  /** Database time, never less than that of the commit before. */
  readonly at: TimeMs;
  /** UUID of the attempt: tells "mine landed" from "somebody else's did". */
  readonly commitId: string;
  /** Canonical JSON array of `CommandMark`. */
  readonly commandsText: string;
  /** Canonical JSON array of events. */
  readonly eventsText: string;
  /** SHA-256 over the hash of the commit before and the canonical JSON of this one; 32 bytes. */
  readonly hash: Uint8Array;
  readonly formatVersion: number;
}

/** A point in a stream. */
export interface StreamPoint {
  readonly stream: StreamName;
  readonly revision: Revision;
}

/**
 * What became of one commit of an append: `stored` durably; `taken`: another document has that
 * revision (or this very commit landed earlier); `rejected`: the server refuses this document.
 */
export type AppendOutcome = "stored" | "taken" | "rejected";

/** Commits of several streams, possibly cut short by the byte budget of one read. */
export interface CommitPage {
  /** By stream, then ascending revision. */
  readonly commits: readonly StoredCommit[];
  /** False when the budget cut the page: read on from the last revisions. */
  readonly complete: boolean;
}

/** The truth: insert-only commits. */
export interface JournalStore {
  /**
   * Inserts each commit whose (stream, revision) is free, in no order; resolves when all inserted
   * ones are journaled by a majority. Throws StorageError: `rejected` when the batch as a whole was
   * refused, otherwise the outcome of every commit is unknown.
   */
  readonly append: (
    commits: readonly StoredCommit[],
    timeoutMs: number,
  ) => Promise<readonly AppendOutcome[]>;
  /** Commits after each point, per stream ascending; visible ones, perhaps not yet durable. */
  readonly readAfter: (points: readonly StreamPoint[]) => Promise<CommitPage>;
  /** The commits at exactly these points; absent ones are left out. */
  readonly readAt: (points: readonly StreamPoint[]) => Promise<readonly StoredCommit[]>;
  /** Of these points, those at which a commit exists now; linearizable where the topology can. */
  readonly probe: (points: readonly StreamPoint[]) => Promise<readonly StreamPoint[]>;
  /** True when whatever `probe` and `readAfter` show is durable (replica set, sharded). */
  readonly readsAreDurable: boolean;
  /**
   * Resolves when everything visible before the call is journaled, with a token of the database's
   * current life: when two barriers answer the same token, whatever was read between them from this
   * store is durable (the token changes with every start of a standalone server).
   */
  readonly barrier: () => Promise<string>;
  /** Points of commits with `at >= since` in time order, skipping up to and including `after`. */
  readonly pointsSince: (
    since: TimeMs,
    limit: number,
    after?: TimedPoint,
  ) => Promise<readonly TimedPoint[]>;
  /** The names of streams whose shard (first 8 bytes of SHA-256 of the name) is this one. */
  readonly streamsOfShard: (shard: string) => Promise<readonly StreamName[]>;
  /** Highest revision of a stream, 0 when it has none. */
  readonly headOf: (stream: StreamName) => Promise<Revision>;
}

/** A point with the time of its commit. */
export interface TimedPoint extends StreamPoint {
  readonly at: TimeMs;
}

/** A terminal fact that left the folded state; insert-only. */
export interface StoredRecord {
  readonly stream: StreamName;
  readonly recordClass: string;
  /** Order within stream and class; with them the row's identity. */
  readonly ordinal: number;
  readonly lookups: readonly string[];
  readonly revision: Revision;
  /** JSON text of the body. */
  readonly bodyText: string;
}

/** Rows of what the folded states forgot. */
export interface RecordStore {
  /** Inserts rows durably; rows that are there already are left as they are. */
  readonly insert: (rows: readonly StoredRecord[]) => Promise<void>;
  /** Rows of one stream and class having any of the lookups. */
  readonly find: (
    stream: StreamName,
    recordClass: string,
    lookups: readonly string[],
  ) => Promise<readonly StoredRecord[]>;
  /** Rows of one stream and class in order of ordinal, after `afterOrdinal`. */
  readonly list: (
    stream: StreamName,
    recordClass: string,
    afterOrdinal: number,
    limit: number,
  ) => Promise<readonly StoredRecord[]>;
}

/** The folded state of a stream at a revision; insert-only. */
export interface StoredCheckpoint {
  readonly stream: StreamName;
  readonly revision: Revision;
  readonly foldVersion: number;
  /** Time and hash of the commit at `revision`. */
  readonly at: TimeMs;
  readonly hash: Uint8Array;
  /** JSON text; the adapter cuts it into chunks of 4 MiB. */
  readonly stateText: string;
}

/** Stored folds, so that a load costs the tail and not the history. */
export interface CheckpointStore {
  /** Inserts durably; the same point and fold version again is left as it is. */
  readonly put: (checkpoint: StoredCheckpoint) => Promise<void>;
  /** The newest checkpoint of each stream with this fold version; absent ones are left out. */
  readonly latest: (
    streams: readonly StreamName[],
    foldVersion: number,
  ) => Promise<readonly StoredCheckpoint[]>;
  /** The newest checkpoint at or before a revision. */
  readonly nearest: (
    point: StreamPoint,
    foldVersion: number,
  ) => Promise<StoredCheckpoint | undefined>;
}

/** One row per stream: what lists, the dispatcher and the timers go by. Droppable. */
export interface StreamRow extends Omit<StreamSummary, "facts"> {
  readonly stream: StreamName;
  readonly kind: string;
  readonly namespace: string;
  /** The id in the clear, last component of the stream's name. */
  readonly id: string;
  readonly revision: Revision;
  readonly at: TimeMs;
  /** JSON text of the summary's facts. */
  readonly factsText: string;
}

/** Filter of a list over stream rows; ascending by id within namespace and kind. */
export interface StreamQuery {
  readonly kind: string;
  readonly namespace: string;
  readonly states?: readonly string[];
  /** All of these labels with these values. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly pool?: string;
  /** Only rows with work for an executor at this time. */
  readonly runnableAt?: TimeMs;
  readonly includeGone: boolean;
  readonly afterId?: string;
  /** The last id that is wanted. */
  readonly throughId?: string;
  readonly limit: number;
}

/** Which drains to look for. */
export interface DrainQuery {
  readonly kind: string;
  readonly namespace: string;
  /** Only those that wait for an executor of this pool; all that wait or run when absent. */
  readonly waitingIn?: string;
}

/** Rebuilt from journal and records at any time. */
export interface ViewStore {
  /** Writes rows whose revision is higher than the stored one's. */
  readonly upsert: (rows: readonly StreamRow[]) => Promise<void>;
  readonly list: (query: StreamQuery) => Promise<readonly StreamRow[]>;
  readonly get: (streams: readonly StreamName[]) => Promise<readonly StreamRow[]>;
  /** The last id of a namespace in the order of lists; undefined when it has none of the kind. */
  readonly lastId: (kind: string, namespace: string) => Promise<string | undefined>;
  /** Rows of a pool with work at `at`, oldest first. */
  readonly runnable: (
    kind: string,
    namespace: string,
    pool: string,
    at: TimeMs,
    limit: number,
  ) => Promise<readonly StreamRow[]>;
  /** Rows whose timer is due at `at`, earliest first. */
  readonly due: (at: TimeMs, limit: number) => Promise<readonly StreamRow[]>;
  /** Rows whose lease this holder has, or whose drain runs at it. */
  readonly heldBy: (holder: string, limit: number) => Promise<readonly StreamRow[]>;
  /** Rows with a drain, in no order. */
  readonly drains: (query: DrainQuery, limit: number) => Promise<readonly StreamRow[]>;
}

/** Liveness of one executor incarnation; `lapsed` is for good. */
export interface LeaseRow {
  /** `executorId/incarnationId`, percent-encoded components, within a namespace. */
  readonly holder: string;
  readonly state: "live" | "lapsed";
  readonly ttlMs: number;
  readonly renewedAt: TimeMs;
  /** How many streams attached with it: whoever knows a lower number was replaced. */
  readonly attachments: number;
}

/** A stream that attaches with a register. */
export interface AttachmentTerms {
  /** What it serves, for `serving`; empty for nothing that is looked up. */
  readonly serves: string;
}

/** A register that nobody opened before. */
export interface NewRegister {
  readonly holder: string;
  readonly ttlMs: number;
}

/** Liveness registers, updated in place with the database's own clock. */
export interface LeaseStore {
  /**
   * Makes the row live, or renews it, and answers how many streams attached with it by now, this
   * one included where it is one; `lapsed` when it lapsed before (nothing changes then).
   */
  readonly open: (
    holder: string,
    ttlMs: number,
    attachment?: AttachmentTerms,
  ) => Promise<number | "lapsed">;
  /** Renews in one bulk write; answers the holders that are not live (lapsed or never opened). */
  readonly renew: (holders: readonly string[]) => Promise<readonly string[]>;
  /** live and older than its TTL -> lapsed, majority-journaled; false when it is not so. */
  readonly lapse: (holder: string) => Promise<boolean>;
  /** Ends the incarnation at its own wish: lapsed at once. */
  readonly close: (holder: string) => Promise<void>;
  /** Live rows whose TTL is over. */
  readonly overdue: (limit: number) => Promise<readonly LeaseRow[]>;
  /** Lapsed rows whose streams may not all know it yet. */
  readonly unsettled: (limit: number) => Promise<readonly LeaseRow[]>;
  /** Marks a lapsed row as known to all its streams. */
  readonly settle: (holder: string) => Promise<void>;
  readonly get: (holder: string) => Promise<LeaseRow | undefined>;
  /** Rows that are live, whose TTL is not over, and whose last stream serves this. */
  readonly serving: (serves: string, limit: number) => Promise<readonly LeaseRow[]>;
  /**
   * When the last of the rows whose last stream serves this was over, or is going to be without
   * another renewal; undefined when there was none in the last thirty days.
   */
  readonly servedUntil: (serves: string) => Promise<TimeMs | undefined>;
  /** Makes rows live whose names were never used before, in one durable write. */
  readonly openNew: (registers: readonly NewRegister[]) => Promise<void>;
  /** Removes registers under which no stream stands any more, and whose names never come back. */
  readonly discard: (holders: readonly string[]) => Promise<void>;
}

/** A pool whose executors that are attached to one replica take no more runs, all of them. */
export interface BusyPool {
  /** The pool, as lease registers name it in `serves`. */
  readonly pool: string;
  /** How many they are. */
  readonly executors: number;
}

/** One running server. */
export interface ReplicaRow {
  readonly replicaId: string;
  readonly address: string;
  readonly version: string;
  readonly startedAt: TimeMs;
  readonly heartbeatAt: TimeMs;
  /** Everything this replica committed before this time is in the views. */
  readonly lowWatermark: TimeMs;
  /** Pools that were busy there at the time of the heartbeat; there may have been more. */
  readonly busyPools: readonly BusyPool[];
  /** The replica stopped beating, and what it left behind is in the views. */
  readonly buried: boolean;
}

/** What a replica says about itself. */
export type ReplicaFacts = Omit<ReplicaRow, "heartbeatAt" | "buried">;

/** Who serves; a row is updated in place and removed some time after its replica is gone. */
export interface ReplicaStore {
  /** Writes the row, not buried, with the database's time as heartbeat; answers that time. */
  readonly heartbeat: (row: ReplicaFacts) => Promise<TimeMs>;
  /** Marks the row as buried, unless the replica has beaten since. */
  readonly bury: (row: ReplicaRow) => Promise<void>;
  readonly list: () => Promise<readonly ReplicaRow[]>;
  readonly remove: (replicaId: string) => Promise<void>;
}

/** A hint from one replica to the others: these streams moved. Losing one costs only time. */
export interface Signal {
  readonly replicaId: string;
  /** Shards (16 hex digits) of the streams that moved. */
  readonly shards: readonly string[];
  /**
   * Streams that became runnable, so that a pool's executors elsewhere can be served at once, each
   * with the revision that made it so. The sender knows that it is durable.
   */
  readonly runnable: readonly StreamPoint[];
  /** Streams that attached at the sender. */
  readonly attached: readonly LeaseAttachment[];
}

/** A stream that attached with a lease register, by a number that rises with every one. */
export type LeaseAttachment = Pick<LeaseRow, "holder" | "attachments">;

/** Hints between replicas. */
export interface SignalStore {
  readonly publish: (signal: Signal) => Promise<void>;
  /** Calls `onSignal` for signals of other replicas; `onGap` when some may have been missed. */
  readonly subscribe: (
    replicaId: string,
    onSignal: (signal: Signal) => void,
    onGap: () => void,
  ) => Promise<{ readonly close: () => Promise<void> }>;
}

/** Names a content within a namespace. */
export interface BlobKey {
  readonly namespace: string;
  /** SHA-256 of the content, 64 lower-case hex digits. */
  readonly digest: string;
}

/** A content that is stored, once per namespace. */
export interface StoredBlob extends BlobKey {
  readonly bytes: number;
  /** Pieces that it is read in, from 1; all of the same size but the last. */
  readonly chunkCount: number;
  readonly storedAt: TimeMs;
  /** When it may be collected, unless somebody refers to it before; absent once it is kept. */
  readonly expiresAt?: TimeMs;
}

/** What an upload turned out to be. */
export interface FinishedUpload extends BlobKey {
  readonly bytes: number;
  readonly chunkCount: number;
}

/** A blob to be read piece by piece. */
export interface OpenBlob {
  readonly blob: StoredBlob;
  /** The piece at an index from 0; undefined when it was collected meanwhile. */
  readonly chunk: (index: number) => Promise<Uint8Array | undefined>;
}

/**
 * Binary content beside the journal, addressed by its digest. All times are the database's own.
 *
 * B1  What is pinned or kept is never collected; a pin is durable before the commit that refers to
 *     the blob is made, and only whoever set it takes it back, after a commit that surely failed.
 * B2  Collecting a blob and pinning it are decided by one document: one of both sees the other.
 * B3  A blob whose pin was neither taken back nor confirmed is kept for ever.
 */
export interface BlobStore {
  /** Stores a content in one piece, or renews the one that is there, for `graceMs`. */
  readonly put: (key: BlobKey, content: Uint8Array, graceMs: number) => Promise<StoredBlob>;
  /** Begins an upload in pieces; without another piece within `graceMs` it is collected. */
  readonly begin: (uploadId: string, namespace: string, graceMs: number) => Promise<void>;
  /** Adds the piece at an index from 0; false when the upload was collected. */
  readonly append: (
    uploadId: string,
    index: number,
    piece: Uint8Array,
    graceMs: number,
  ) => Promise<boolean>;
  /** Makes an upload a blob, or drops it for the one that is there; undefined when collected. */
  readonly finish: (
    uploadId: string,
    upload: FinishedUpload,
    graceMs: number,
  ) => Promise<StoredBlob | undefined>;
  /** Drops an upload. */
  readonly abandon: (uploadId: string) => Promise<void>;
  readonly stat: (key: BlobKey) => Promise<StoredBlob | undefined>;
  readonly open: (key: BlobKey) => Promise<OpenBlob | undefined>;
  /** Keeps blobs from being collected for the sake of `pinId`; answers those that are not there. */
  readonly pin: (keys: readonly BlobKey[], pinId: string) => Promise<readonly BlobKey[]>;
  /** A commit refers to the blobs: they are kept for ever, and the pin is over. */
  readonly keep: (keys: readonly BlobKey[], pinId: string) => Promise<void>;
  /** No commit refers to the blobs on account of this pin; the last one gone, they may expire. */
  readonly unpin: (keys: readonly BlobKey[], pinId: string, graceMs: number) => Promise<void>;
  /** Removes what has expired, some at a time; answers how many blobs and uploads. */
  readonly collect: (limit: number) => Promise<number>;
}

/** What the server tells about its storage. */
export interface StorageFacts {
  readonly topology: "standalone" | "replica_set" | "sharded" | "memory";
  readonly version: string;
  readonly durabilityTier: "durable" | "ephemeral";
}

/** Everything stored. */
export interface Storage {
  readonly journal: JournalStore;
  readonly records: RecordStore;
  readonly checkpoints: CheckpointStore;
  readonly views: ViewStore;
  readonly leases: LeaseStore;
  readonly replicas: ReplicaStore;
  readonly signals: SignalStore;
  readonly blobs: BlobStore;
  readonly facts: StorageFacts;
  /** The database's clock; also the cheapest proof that it answers. */
  readonly databaseTime: () => Promise<TimeMs>;
  readonly close: () => Promise<void>;
}

/** `rejected`: nothing was written and never will be. `unavailable`: the outcome is not known. */
export type StorageErrorKind = "unavailable" | "rejected" | "corrupt" | "incompatible";

/** The only error that a storage adapter throws. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly kind: StorageErrorKind;

  constructor(kind: StorageErrorKind, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}

/** Time, replaceable by a manual clock. */
export interface Clock {
  /** Wall clock in milliseconds; corrected against the database by the engine, not here. */
  readonly nowMs: () => TimeMs;
  /** Steadily rising milliseconds, unaffected by clock steps. */
  readonly monotonicMs: () => number;
  /** Calls back once after `delayMs`; answers a function that cancels. */
  readonly after: (delayMs: number, callback: () => void) => () => void;
}

/** Randomness and ids, replaceable by a seeded source. */
export interface Entropy {
  /** A UUIDv7. */
  readonly freshId: () => string;
  /** A number in [0, 1). */
  readonly random: () => number;
}
