/**
 * The collection `streams`: one row per stream, rebuilt from the journal at any time. Rows are
 * replaced as a whole and only by a higher revision, so that writers may come in any order.
 */
import type { DrainSummary } from "../../core/shared/aggregate.ts";
import { type StreamName, streamNameOf } from "../../core/shared/ids.ts";
import {
  type DrainQuery,
  StorageError,
  type StreamQuery,
  type StreamRow,
  type ViewStore,
} from "../../engine/ports.ts";
import { inCommands, inCounts } from "./batches.ts";
import type { CollectionDefinition } from "./collection.ts";
import type { FindQuery, MongoConnection } from "./connection.ts";
import { isDuplicateKey, requireWrites, type WriteReply } from "./errors.ts";

const listIndexName = "kind_1_namespace_1_id_1";
const liveIndexName = "kind_1_namespace_1_state_1_id_1";
const labelIndexName = "kind_1_namespace_1_labels_1_id_1";
const runnableIndexName = "kind_1_namespace_1_pool_1_runnableSince_1";
const dueIndexName = "dueAt_1";
const holderIndexName = "holder_1";
const drainIndexName = "kind_1_namespace_1_drain_1_pool_1";

/** Rows of an index of their own: ended processes stay for ever, and sweeps want the others. */
const liveProcess = { kind: "process", state: "running" } as const;

/** See the header of this file. */
export const streamCollection: CollectionDefinition = {
  name: "streams",
  indexes: [
    {
      name: listIndexName,
      key: { kind: 1, namespace: 1, id: 1 },
      serves: "list: a page of a namespace's rows by id; lastId: the last one",
    },
    {
      name: liveIndexName,
      key: { kind: 1, namespace: 1, state: 1, id: 1 },
      partialFilter: liveProcess,
      serves: "list: a page of the processes that have not ended, past any number that have",
    },
    {
      name: labelIndexName,
      key: { kind: 1, namespace: 1, labels: 1, id: 1 },
      serves: "list: a page of the rows that carry a label",
    },
    {
      name: runnableIndexName,
      key: { kind: 1, namespace: 1, pool: 1, runnableSince: 1 },
      partialFilter: { runnableSince: { $exists: true } },
      serves: "runnable: rows of a pool with work for an executor, oldest first",
    },
    {
      name: dueIndexName,
      key: { dueAt: 1 },
      partialFilter: { dueAt: { $exists: true } },
      serves: "due: rows whose timer has run out, earliest first",
    },
    {
      name: holderIndexName,
      key: { holder: 1 },
      partialFilter: { holder: { $exists: true } },
      serves: "heldBy: rows whose lease or drain an executor incarnation has",
    },
    {
      name: drainIndexName,
      key: { kind: 1, namespace: 1, drain: 1, pool: 1 },
      partialFilter: { drain: { $exists: true } },
      serves: "drains: rows whose drain waits in a pool, or of a whole namespace",
    },
  ],
};

/** One label, so that names and values are never field names or parts of one text. */
interface LabelDocument {
  readonly name: string;
  readonly value: string;
}

/** One row as a document. */
interface StreamDocument {
  readonly _id: string;
  readonly kind: string;
  readonly namespace: string;
  readonly id: string;
  readonly revision: bigint;
  readonly at: Date;
  readonly state: string;
  readonly labels: readonly LabelDocument[];
  readonly pool?: string;
  readonly runnableSince?: Date;
  readonly dueAt?: Date;
  /**
   * The holder of the lease; with a drain at an executor a list: the holder, if there is one, and
   * last who runs the drain.
   */
  readonly holder?: string | readonly string[];
  readonly drain?: DrainSummary["state"];
  readonly gone: boolean;
  readonly facts: string;
}

const DRAIN_STATES: readonly DrainSummary["state"][] = ["waiting", "hosted"];
const streamsPerQueryMax = 1_000;
const envelopeBytes = 4 * 1024;
/** The server works on one command at a time per connection: a few at once are twice as fast. */
const rowsPerCommand = 250;
const commandsAtOnce = 3;
/** How often an insert may meet another server's of the same row. */
const upsertRoundsMax = 5;

function labelsToDocuments(labels: Readonly<Record<string, string>>): readonly LabelDocument[] {
  return Object.entries(labels).map(([name, value]) => ({ name, value }));
}

/** Everybody who is to be told when an incarnation ends, found by one index. */
function holdersToDocument({ holder, drain }: StreamRow): StreamDocument["holder"] {
  if (drain?.host === undefined) return holder;
  return holder === undefined ? [drain.host] : [holder, drain.host];
}

function holdersFromDocument({ holder, drain: state }: StreamDocument) {
  const holders = holder === undefined || typeof holder === "string" ? [] : holder;
  const host = holders.at(-1);
  const owner = typeof holder === "string" ? holder : holders.at(-2);
  return {
    ...(owner === undefined ? {} : { holder: owner }),
    ...(state === undefined ? {} : { drain: { state, ...(host === undefined ? {} : { host }) } }),
  };
}

function rowToDocument(row: StreamRow): StreamDocument {
  const { pool, runnableSince, dueAt, drain } = row;
  const holder = holdersToDocument(row);
  return {
    _id: row.stream,
    kind: row.kind,
    namespace: row.namespace,
    id: row.id,
    revision: BigInt(row.revision),
    at: new Date(row.at),
    state: row.state,
    labels: labelsToDocuments(row.labels),
    gone: row.gone,
    facts: row.factsText,
    ...(pool === undefined ? {} : { pool }),
    ...(runnableSince === undefined ? {} : { runnableSince: new Date(runnableSince) }),
    ...(dueAt === undefined ? {} : { dueAt: new Date(dueAt) }),
    ...(holder === undefined ? {} : { holder }),
    ...(drain === undefined ? {} : { drain: drain.state }),
  };
}

function rowFromDocument(document: StreamDocument): StreamRow {
  const { pool, runnableSince, dueAt } = document;
  return {
    stream: streamNameOf(document._id),
    kind: document.kind,
    namespace: document.namespace,
    id: document.id,
    revision: Number(document.revision),
    at: document.at.getTime(),
    state: document.state,
    labels: Object.fromEntries(document.labels.map(({ name, value }) => [name, value])),
    gone: document.gone,
    factsText: document.facts,
    ...(pool === undefined ? {} : { pool }),
    ...(runnableSince === undefined ? {} : { runnableSince: runnableSince.getTime() }),
    ...(dueAt === undefined ? {} : { dueAt: dueAt.getTime() }),
    ...holdersFromDocument(document),
  };
}

function rowBytes(row: StreamRow): number {
  const labelBytes = Object.entries(row.labels).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value) + 32,
    0,
  );
  return Buffer.byteLength(row.factsText) + labelBytes + envelopeBytes;
}

/**
 * Replaces a row that has a lower revision or is not there. The row is looked up by its key alone
 * and compared in the update: with the revision in the filter the server would plan every single
 * one as a query, at twice the time per row.
 */
function rowToStatement(row: StreamRow): Readonly<Record<string, unknown>> {
  const document = rowToDocument(row);
  const isNewer = { $lt: ["$revision", document.revision] };
  const replacement = { $cond: [isNewer, { $literal: document }, "$$ROOT"] };
  return { q: { _id: document._id }, u: [{ $replaceWith: replacement }], upsert: true };
}

/**
 * Labels that all have to match: the first as a whole value, which the index serves, the others by
 * their members, which it does not; two whole values would make the server sort in memory.
 */
function labelFilter(labels: readonly LabelDocument[]): Readonly<Record<string, unknown>> {
  const [first, ...rest] = labels;
  if (first === undefined) return {};
  const others = rest.map(({ name, value }) => ({
    labels: { $elemMatch: { name: { $eq: name }, value: { $eq: value } } },
  }));
  return others.length === 0 ? { labels: first } : { labels: first, $and: others };
}

/** The filter of a list, in the form that the chosen index serves. */
function filterOf(query: StreamQuery): Readonly<Record<string, unknown>> {
  const { states, pool, runnableAt, afterId, throughId } = query;
  const range = {
    ...(afterId === undefined ? {} : { $gt: afterId }),
    ...(throughId === undefined ? {} : { $lte: throughId }),
  };
  return {
    kind: query.kind,
    namespace: query.namespace,
    ...(Object.keys(range).length === 0 ? {} : { id: range }),
    ...labelFilter(labelsToDocuments(query.labels ?? {})),
    ...(query.includeGone ? {} : { gone: false }),
    ...(states === undefined ? {} : { state: states.length === 1 ? states[0] : { $in: states } }),
    ...(pool === undefined ? {} : { pool }),
    ...(runnableAt === undefined ? {} : { runnableSince: { $lte: new Date(runnableAt) } }),
  };
}

/** The index that serves a list, and what the query is called. */
function listPlanOf({ kind, states = [], labels = {} }: StreamQuery): {
  readonly label: string;
  readonly hint: string;
} {
  if (Object.keys(labels).length > 0) return { label: "views.listByLabels", hint: labelIndexName };
  const isLive =
    kind === liveProcess.kind && states.length === 1 && states[0] === liveProcess.state;
  return isLive
    ? { label: "views.listLive", hint: liveIndexName }
    : { label: "views.list", hint: listIndexName };
}

/** The views of one connection. */
export function makeMongoViews(connection: MongoConnection): ViewStore {
  const collection = streamCollection.name;

  /** Writes rows by one command; answers those that met another writer's insert. */
  async function replace(rows: readonly StreamRow[]): Promise<readonly StreamRow[]> {
    const label = "views.upsert";
    const reply = await connection.command<WriteReply>(label, {
      update: collection,
      updates: rows.map(rowToStatement),
      ordered: false,
      writeConcern: connection.writeConcerns.durable,
    });
    requireWrites(label, reply, isDuplicateKey);
    const met = new Set(reply.writeErrors?.map((error) => error.index));
    return rows.filter((_, index) => met.has(index));
  }

  async function replaceAll(rows: readonly StreamRow[]): Promise<void> {
    let rest = rows;
    for (let round = 0; rest.length > 0; round += 1) {
      if (round === upsertRoundsMax) {
        throw new StorageError("unavailable", "views.upsert: rows are contended");
      }
      rest = await replace(rest);
    }
  }

  async function upsert(rows: readonly StreamRow[]): Promise<void> {
    const pieces = [...inCounts(rows, rowsPerCommand)].flatMap((some) => [
      ...inCommands(some, rowBytes),
    ]);
    for (const some of inCounts(pieces, commandsAtOnce)) await Promise.all(some.map(replaceAll));
  }

  async function rowsOf(query: Omit<FindQuery, "collection">): Promise<readonly StreamRow[]> {
    const documents = await connection.find<StreamDocument>({ collection, ...query });
    return documents.map(rowFromDocument);
  }

  async function lastId(kind: string, namespace: string): Promise<string | undefined> {
    const [last] = await connection.find<Pick<StreamDocument, "_id" | "id">>({
      label: "views.lastId",
      collection,
      filter: { kind, namespace },
      projection: { id: 1 },
      sort: { id: -1 },
      hint: listIndexName,
      limit: 1,
    });
    return last?.id;
  }

  async function get(streams: readonly StreamName[]): Promise<readonly StreamRow[]> {
    const rows: StreamRow[] = [];
    for (const some of inCounts(streams, streamsPerQueryMax)) {
      rows.push(...(await rowsOf({ label: "views.get", filter: { _id: { $in: some } } })));
    }
    return rows;
  }

  function list(query: StreamQuery): Promise<readonly StreamRow[]> {
    return rowsOf({
      ...listPlanOf(query),
      filter: filterOf(query),
      sort: { id: 1 },
      limit: query.limit,
    });
  }

  function runnable(
    kind: string,
    namespace: string,
    pool: string,
    at: number,
    limit: number,
  ): Promise<readonly StreamRow[]> {
    return rowsOf({
      label: "views.runnable",
      filter: { kind, namespace, pool, runnableSince: { $lte: new Date(at) } },
      sort: { runnableSince: 1 },
      hint: runnableIndexName,
      limit,
    });
  }

  function due(at: number, limit: number): Promise<readonly StreamRow[]> {
    const filter = { dueAt: { $lte: new Date(at) } };
    return rowsOf({ label: "views.due", filter, sort: { dueAt: 1 }, hint: dueIndexName, limit });
  }

  function heldBy(holder: string, limit: number): Promise<readonly StreamRow[]> {
    return rowsOf({ label: "views.heldBy", filter: { holder }, hint: holderIndexName, limit });
  }

  function drains(query: DrainQuery, limit: number): Promise<readonly StreamRow[]> {
    const { kind, namespace, waitingIn: pool } = query;
    const wanted =
      pool === undefined ? { drain: { $in: DRAIN_STATES } } : { drain: "waiting", pool };
    const filter = { kind, namespace, ...wanted };
    return rowsOf({ label: "views.drains", filter, hint: drainIndexName, limit });
  }

  return { upsert, list, get, lastId, runnable, due, heldBy, drains };
}
