/** Implements `Streams` for one aggregate over the shared parts of the engine. */
import { foldFromCheckpoint } from "./checkpoint-codec.ts";
import type { Aggregate } from "../core/shared/aggregate.ts";
import type { Revision, StreamName } from "../core/shared/ids.ts";
import type { JsonObject } from "../core/shared/json.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { decideBatch } from "./decide-batch.ts";
import type { EngineParts } from "./engine-parts.ts";
import { mayContain } from "./key-filter.ts";
import type { StoredCommit } from "./ports.ts";
import type { AdvanceListener, CommitListener, StreamEntry } from "./stream-entry.ts";
import { makeStreamEntry } from "./stream-entry.ts";
import {
  filterKey,
  foldCommit,
  type FoldedCommit,
  initialFold,
  type StreamFold,
} from "./stream-fold.ts";
import { repeatAnswer } from "./release.ts";
import type { HistoryPage, Preview, Streams } from "./streams.ts";
import { recordBody } from "./record-codec.ts";
import { lookUpRecords, wantedRecords } from "./record-lookups.ts";
import { makeStreamCache } from "./stream-cache.ts";
import { verifyStream } from "./verify.ts";

const FRESH_TRIES_MAX = 50;

function draining(): RefusedError {
  const message = "The server is shutting down; send the call to another replica";
  return new RefusedError({ ...refusalOf("SERVER_DRAINING", message), retryAfterMs: 500 });
}

/** Makes the streams of one aggregate. */
export function makeStreams<State, Command, Event, Reply>(
  parts: EngineParts,
  aggregate: Aggregate<State, Command, Event, Reply>,
  onAdvance: AdvanceListener<State, Event> | undefined,
): Streams<State, Command, Event, Reply> {
  type Entry = StreamEntry<State, Command, Event, Reply>;
  const { options, budget, loader, committer, prober, reads, listened, views, time } = parts;
  const { storage, clock, entropy, observer } = options;

  const cache = makeStreamCache<Entry>(budget);
  const entryOf = (stream: StreamName): Entry =>
    cache.get(stream, () => makeStreamEntry(aggregate, stream, onAdvance));

  async function known(stream: StreamName): Promise<StreamFold<State>> {
    const entry = entryOf(stream);
    await loader.load(entry);
    return entry.fold ?? initialFold(aggregate.initial);
  }

  async function caughtUp(stream: StreamName, durable: Revision): Promise<StreamFold<State>> {
    const entry = entryOf(stream);
    await loader.load(entry);
    if (entry.fold && entry.fold.revision >= durable) return entry.fold;
    await committer.exclusive(entry, () => committer.catchUp(entry, durable, durable));
    return entry.fold ?? initialFold(aggregate.initial);
  }

  async function fresh(stream: StreamName): Promise<StreamFold<State>> {
    const entry = entryOf(stream);
    const writesBefore = entry.writesStarted;
    await loader.load(entry);
    for (let tries = 0; ; tries += 1) {
      const fold = entry.fold ?? initialFold(aggregate.initial);
      if (!(await prober.exists({ stream, revision: fold.revision + 1 }))) {
        return entry.fold ?? fold;
      }
      if (entry.writesAcknowledged > writesBefore) return entry.fold ?? fold;
      if (tries > FRESH_TRIES_MAX) {
        const message = "The stream moves too fast to be read here; try again";
        throw new RefusedError({ ...refusalOf("CONFLICT", message), retryAfterMs: 100 });
      }
      await committer.exclusive(entry, () => committer.catchUp(entry, fold.revision + 1));
    }
  }

  async function preview(
    stream: StreamName,
    envelope: Parameters<Streams<State, Command, Event, Reply>["preview"]>[1],
  ): Promise<Preview<State, Event, Reply>> {
    const before = await fresh(stream);
    const now = Math.max(time.nowMs(), before.at);
    const pending = {
      envelope,
      resolve: () => undefined,
      reject: () => undefined,
      enqueuedMs: 0,
      status: "waiting" as const,
    };
    const wanted = wantedRecords(aggregate, before, [pending]);
    const found = await lookUpRecords(storage.records, stream, wanted);
    const onBug = (error: unknown): void => observer.backgroundFailed("decide", error);
    const entry = entryOf(stream);
    const decided = decideBatch(entry, before, [pending], { now, entropy, found, onBug });
    const verdict = decided.verdicts[0];
    if (verdict?.kind === "refused") return { kind: "refuse", refusal: verdict.refusal };
    if (verdict?.kind === "answered") return { kind: "answer", reply: verdict.reply, before };
    if (verdict?.kind === "repeated") {
      const repeated = await repeatAnswer(entry, envelope.command, verdict, before, parts.readAt);
      return { kind: "answer", reply: repeated.reply, before };
    }
    const position = { revision: before.revision + 1, index: 0, at: now };
    const reply = aggregate.answer(envelope.command, decided.events, position);
    return { kind: "commit", events: decided.events, reply, before, after: decided.state, at: now };
  }

  async function history(
    stream: StreamName,
    from: StreamFold<State>,
  ): Promise<HistoryPage<State, Event>> {
    const page = await reads.readTail({ stream, revision: from.revision });
    const commits: FoldedCommit<State, Event>[] = [];
    let fold = from;
    for (const stored of page.commits) {
      const folded = foldCommit(aggregate, fold, stored);
      commits.push(folded);
      fold = folded.after;
    }
    return { commits, fold, isEnd: page.complete };
  }

  async function at(stream: StreamName, revision: Revision): Promise<StreamFold<State>> {
    const head = await fresh(stream);
    if (revision === head.revision) return head;
    if (revision > head.revision) {
      throw new RefusedError(
        refusalOf("REVISION_NOT_FOUND", "The stream has not reached this revision", {
          stream,
          revision,
          headRevision: head.revision,
        }),
      );
    }
    const nearest = await storage.checkpoints.nearest({ stream, revision }, aggregate.foldVersion);
    let fold = nearest ? foldFromCheckpoint(aggregate, nearest) : initialFold(aggregate.initial);
    while (fold.revision < revision) {
      const page = await history(stream, fold);
      const wanted = page.commits.find((commit) => commit.after.revision === revision);
      if (wanted) return wanted.after;
      if (page.commits.length === 0) {
        const message = "A revision below the head cannot be read now; try again";
        const refusal = refusalOf("DATABASE_UNAVAILABLE", message, { stream, revision });
        throw new RefusedError({ ...refusal, retryAfterMs: 1000 });
      }
      fold = page.fold;
    }
    return fold;
  }

  /** What is folded here is durable; of other commits it has to be made sure. */
  async function commitAt(stream: StreamName, revision: Revision): Promise<StoredCommit> {
    const folded = cache.peek(stream)?.fold?.revision ?? 0;
    if (revision <= folded) return await parts.readAt(stream, revision);
    const found = await reads.readAt({ stream, revision });
    if (found) return found;
    const message = "The stream has no commit at this revision";
    throw new RefusedError(refusalOf("REVISION_NOT_FOUND", message, { stream, revision }));
  }

  function listen(stream: StreamName, listener: CommitListener<State, Event>): () => void {
    const entry = entryOf(stream);
    entry.listeners ??= new Set();
    entry.listeners.add(listener);
    const catchUp = (): Promise<void> =>
      committer.exclusive(entry, () => committer.catchUp(entry, 0));
    listened.add(entry.shard, stream, () => entry.fold?.revision ?? 0, catchUp);
    return () => {
      if (entry.listeners?.delete(listener)) listened.remove(entry.shard, stream);
    };
  }

  async function findRecord(
    stream: StreamName,
    fold: StreamFold<State>,
    recordClass: string,
    lookup: string,
  ): Promise<JsonObject | undefined> {
    if (!mayContain(fold.forgotten, filterKey(recordClass, lookup))) return undefined;
    const [row] = await storage.records.find(stream, recordClass, [lookup]);
    return row ? recordBody(row) : undefined;
  }

  return {
    submit: (stream, envelope) => {
      if (parts.isStopping()) return Promise.reject(draining());
      if (views.isOverfull()) return Promise.reject(overloaded());
      const entry = entryOf(stream);
      if (entry.broken) return Promise.reject(entry.broken);
      return new Promise((resolve, reject) => {
        const enqueuedMs = clock.monotonicMs();
        entry.pending.push({ envelope, resolve, reject, enqueuedMs, status: "waiting" });
        committer.kick(entry);
      });
    },
    fresh,
    known,
    caughtUp,
    peek: (stream) => cache.peek(stream)?.fold ?? undefined,
    preview,
    at,
    history,
    commit: commitAt,
    listen,
    findRecord,
    listRecords: async (stream, recordClass, afterOrdinal, limit) => {
      const rows = await storage.records.list(stream, recordClass, afterOrdinal, limit);
      return rows.map((row) => ({
        ordinal: row.ordinal,
        body: recordBody(row),
      }));
    },
    refusalOf: (stream) => cache.peek(stream)?.broken?.refusal,
    reproject: async (stream) => {
      const fold = await fresh(stream);
      if (fold.revision > 0) views.touch(entryOf(stream), fold.at, true);
    },
    verify: (stream, signal) => verifyStream(aggregate, stream, reads, signal),
  };
}

function overloaded(): RefusedError {
  const message = "Views are too far behind the journal; slow down and try again";
  return new RefusedError({ ...refusalOf("OVERLOADED", message), retryAfterMs: 1000 });
}
