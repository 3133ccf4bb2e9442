/**
 * The journal on MongoDB. Inserts are unordered and durable when they are acknowledged; reads go by
 * key ranges, which are in the order of streams and revisions.
 */
import type { Revision, StreamName, TimeMs } from "../../core/shared/ids.ts";
import type {
  AppendOutcome,
  CommitPage,
  JournalStore,
  StoredCommit,
  StreamPoint,
  TimedPoint,
} from "../../engine/ports.ts";
import { commitKey } from "../../engine/stream-name.ts";
import { inCommands, inCounts } from "./batches.ts";
import { idIndexName } from "./collection.ts";
import { beforeAll, type MongoConnection } from "./connection.ts";
import { isContentRefused, isDuplicateKey, requireWrites, type WriteReply } from "./errors.ts";
import {
  afterColon,
  commitFromDocument,
  commitToDocument,
  type JournalDocument,
  journalCollection,
  journalTimeIndexName,
  pointOfKey,
  rangeAfter,
  revisionOfKey,
  streamOfKey,
} from "./journal-document.ts";
import type { ServerLife } from "./server-life.ts";

/** What the time index alone tells of a commit. */
type PointDocument = Pick<JournalDocument, "_id" | "at">;
type KeyDocument = Pick<JournalDocument, "_id">;

const documentBytesMax = 16 * 1024 * 1024;
/** Keys, times, hash and names around the texts of a commit, rounded up. */
const envelopeBytes = 4 * 1024;
const readBytesMax = 16 * 1024 * 1024;
/** Ranges that one query may name: each is planned on its own. */
const rangesPerQueryMax = 100;
/** Keys that one query may name. */
const keysPerQueryMax = 1_000;
const streamsPerShardMax = 1_000;
const pointProbesAtOnce = 16;

/** Most bytes of UTF-8 that a character of a text takes. */
const characterBytesMax = 3;
/** Texts that are surely smaller than this need not be measured exactly. */
const exactFromBytes = 1024 * 1024;

function commitBytes({ commandsText, eventsText }: StoredCommit): number {
  const bytesMax = (commandsText.length + eventsText.length) * characterBytesMax;
  if (bytesMax < exactFromBytes) return bytesMax + envelopeBytes;
  return Buffer.byteLength(commandsText) + Buffer.byteLength(eventsText) + envelopeBytes;
}

function outcomeOf(error: { readonly index: number; readonly code: number }): AppendOutcome {
  if (isDuplicateKey(error)) return "taken";
  return "rejected";
}

/** The journal of one connection. */
export function makeMongoJournal(connection: MongoConnection, life: ServerLife): JournalStore {
  const collection = journalCollection.name;
  const isStandalone = connection.topology === "standalone";

  /** Inserts commits that fit one command and notes the outcomes at their places. */
  async function insertBatch(
    commits: readonly StoredCommit[],
    timeoutMs: number,
  ): Promise<readonly AppendOutcome[]> {
    const label = "journal.append";
    const body = {
      insert: collection,
      documents: commits.map(commitToDocument),
      ordered: false,
      writeConcern: connection.writeConcerns.durable,
    };
    const reply = await connection.command<WriteReply>(label, body, timeoutMs);
    requireWrites(label, reply, (error) => isDuplicateKey(error) || isContentRefused(error));
    const outcomes = commits.map((): AppendOutcome => "stored");
    for (const error of reply.writeErrors ?? []) outcomes[error.index] = outcomeOf(error);
    return outcomes;
  }

  async function append(
    commits: readonly StoredCommit[],
    timeoutMs: number,
  ): Promise<readonly AppendOutcome[]> {
    const outcomes = new Map<StoredCommit, AppendOutcome>();
    const sendable = commits.filter((commit) => commitBytes(commit) <= documentBytesMax);
    for (const batch of inCommands(sendable, commitBytes)) {
      const answered = await insertBatch(batch, timeoutMs);
      for (const [index, commit] of batch.entries()) {
        outcomes.set(commit, answered[index] ?? "rejected");
      }
    }
    return commits.map((commit) => outcomes.get(commit) ?? "rejected");
  }

  /** Reads on into `page` until its byte budget is used up; false when it is. */
  async function readRanges(
    points: readonly StreamPoint[],
    page: StoredCommit[],
    budget: { bytes: number },
  ): Promise<boolean> {
    let isWithin = true;
    const query = {
      label: "journal.readAfter",
      collection,
      filter: { $or: points.map((point) => ({ _id: rangeAfter(point) })) },
      sort: { _id: 1 },
      hint: idIndexName,
    } as const;
    await connection.scan<JournalDocument>(query, (document) => {
      const commit = commitFromDocument(document);
      budget.bytes -= commitBytes(commit);
      isWithin = budget.bytes >= 0 || page.length === 0;
      if (isWithin) page.push(commit);
      return isWithin;
    });
    return isWithin;
  }

  async function readAfter(points: readonly StreamPoint[]): Promise<CommitPage> {
    const page: StoredCommit[] = [];
    const budget = { bytes: readBytesMax };
    for (const some of inCounts(points, rangesPerQueryMax)) {
      if (!(await readRanges(some, page, budget))) return { commits: page, complete: false };
    }
    return { commits: page, complete: true };
  }

  async function readAt(points: readonly StreamPoint[]): Promise<readonly StoredCommit[]> {
    const commits: StoredCommit[] = [];
    for (const some of inCounts(points, keysPerQueryMax)) {
      const found = await connection.find<JournalDocument>({
        label: "journal.readAt",
        collection,
        filter: { _id: { $in: some.map((point) => commitKey(point.stream, point.revision)) } },
      });
      commits.push(...found.map(commitFromDocument));
    }
    return commits;
  }

  async function probeLocally(points: readonly StreamPoint[]): Promise<readonly StreamPoint[]> {
    const found: StreamPoint[] = [];
    for (const some of inCounts(points, keysPerQueryMax)) {
      const documents = await connection.find<KeyDocument>({
        label: "journal.probe",
        collection,
        filter: { _id: { $in: some.map((point) => commitKey(point.stream, point.revision)) } },
        projection: { _id: 1 },
      });
      found.push(...documents.map((document) => pointOfKey(document._id)));
    }
    return found;
  }

  /** Linearizable reads are promised for one document each, found by a unique key. */
  async function isThere(point: StreamPoint): Promise<boolean> {
    const documents = await connection.find<KeyDocument>({
      label: "journal.probe",
      collection,
      filter: { _id: commitKey(point.stream, point.revision) },
      projection: { _id: 1 },
      limit: 1,
      readConcern: "linearizable",
    });
    return documents.length > 0;
  }

  async function probeEach(points: readonly StreamPoint[]): Promise<readonly StreamPoint[]> {
    const found: StreamPoint[] = [];
    for (const some of inCounts(points, pointProbesAtOnce)) {
      const answers = await Promise.all(some.map(isThere));
      found.push(...some.filter((_, index) => answers[index] === true));
    }
    return found;
  }

  async function pointsSince(
    since: TimeMs,
    limit: number,
    after?: TimedPoint,
  ): Promise<readonly TimedPoint[]> {
    const start = after !== undefined && after.at >= since ? after : undefined;
    const startKey = start === undefined ? undefined : commitKey(start.stream, start.revision);
    const documents = await connection.find<PointDocument>({
      label: "journal.pointsSince",
      collection,
      filter: {},
      projection: { _id: 1, at: 1 },
      sort: { at: 1, _id: 1 },
      hint: journalTimeIndexName,
      min: { at: new Date(start?.at ?? since), _id: startKey ?? beforeAll },
      limit: limit + 1,
    });
    return documents
      .filter((document) => document._id !== startKey)
      .slice(0, limit)
      .map((document) => ({ ...pointOfKey(document._id), at: document.at.getTime() }));
  }

  /** Jumps from stream to stream; more than one per shard is next to impossible. */
  async function streamsOfShard(shard: string): Promise<readonly StreamName[]> {
    const streams: StreamName[] = [];
    let from = `${shard}:`;
    while (streams.length < streamsPerShardMax) {
      const [next] = await connection.find<KeyDocument>({
        label: "journal.streamsOfShard",
        collection,
        filter: { _id: { $gt: from, $lt: `${shard}${afterColon}` } },
        projection: { _id: 1 },
        sort: { _id: 1 },
        limit: 1,
      });
      if (next === undefined) break;
      const stream = streamOfKey(next._id);
      streams.push(stream);
      from = `${shard}:${stream}${afterColon}`;
    }
    return streams;
  }

  async function headOf(stream: StreamName): Promise<Revision> {
    const [head] = await connection.find<KeyDocument>({
      label: "journal.headOf",
      collection,
      filter: { _id: rangeAfter({ stream, revision: 0 }) },
      projection: { _id: 1 },
      sort: { _id: -1 },
      limit: 1,
    });
    return head === undefined ? 0 : revisionOfKey(head._id);
  }

  return {
    append,
    readAfter,
    readAt,
    probe: isStandalone ? probeLocally : probeEach,
    readsAreDurable: !isStandalone,
    barrier: life.barrier,
    pointsSince,
    streamsOfShard,
    headOf,
  };
}
