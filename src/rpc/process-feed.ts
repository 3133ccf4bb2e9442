/**
 * WatchProcesses: the processes of a namespace as they change, at every replica.
 *
 * F1  Each change is told at least once: the process at its revision, or at a later one.
 * F2  A process is never told at an earlier revision than before in the same stream.
 * F3  A bookmark's cursor is a time behind which nothing lands: the replicas' low watermark.
 */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { summarize } from "../core/process/summarize.ts";
import type { Revision, StreamName, TimeMs } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { ProcessFold } from "../dispatch/process-streams.ts";
import { walkJournal } from "../engine/journal-walk.ts";
import type { StreamRow } from "../engine/ports.ts";
import { parseStreamName } from "../engine/stream-name.ts";
import type { Process } from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  type ProcessRegistryService,
  ProcessWatchEndReason,
  type WatchProcessesResponse,
  WatchProcessesResponseSchema,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { checkId, checkLabels, finish, makeFieldCheck } from "./codec/field-check.ts";
import { cursorOf, cursorTimeOf } from "./codec/process-cursor.ts";
import { processFromRow } from "./codec/process.ts";
import { timestampToProto } from "./codec/time.ts";
import { abortReasonOf } from "./errors.ts";
import { type ChangedStreams, makeChangedStreams } from "./changed-streams.ts";
import { PROCESS_KIND } from "./process-calls.ts";
import type { ProcessServiceOptions } from "./process-options.ts";
import { liveProcesses } from "./process-sweep.ts";
import { shownProcess } from "./stored-processes.ts";
import { isUnreadable } from "./unreadable.ts";
import { viewsAsOf } from "./views-as-of.ts";

type FeedService = Pick<ServiceImpl<typeof ProcessRegistryService>, "watchProcesses">;

const BOOKMARK_INTERVAL_MS = 5_000;
/** Changed processes that are looked up together. */
const LOOKUPS_AT_ONCE = 100;
const INITIAL_PAGE = 500;

/** What a client asked for. */
interface FeedTerms {
  readonly namespace: string;
  readonly kind: string | undefined;
  readonly labels: Readonly<Record<string, string>> | undefined;
  /** Undefined for the present. */
  readonly since: TimeMs | undefined;
  readonly includesInitial: boolean;
}

/** A process at one of its revisions. */
interface Sighting {
  readonly stream: StreamName;
  readonly revision: Revision;
  /** Time of its commit. */
  readonly at: TimeMs;
  readonly kind: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly isPruned: boolean;
  readonly process: Process;
}

/** What a stream told last of each process, as long as it may be heard again. */
type Told = Map<StreamName, Pick<Sighting, "revision" | "at">>;

function isNews(told: Told, stream: StreamName, revision: Revision): boolean {
  return (told.get(stream)?.revision ?? 0) < revision;
}

function sightingOfRow(row: StreamRow): Sighting {
  const { stream, revision, at, pool: kind, labels, gone: isPruned } = row;
  return { stream, revision, at, kind, labels, isPruned, process: processFromRow(row) };
}

function sightingOfFold(stream: StreamName, fold: ProcessFold): Sighting {
  const { revision, at, state } = fold;
  const { pool: kind, labels, gone: isPruned } = summarize(state);
  return { stream, revision, at, kind, labels, isPruned, process: shownProcess(fold) };
}

function isWanted({ kind, labels = {} }: FeedTerms, sighting: Sighting): boolean {
  if (kind !== undefined && sighting.kind !== kind) return false;
  return Object.entries(labels).every(([name, value]) => sighting.labels[name] === value);
}

function changeOf(sighting: Sighting, isInitial: boolean): WatchProcessesResponse {
  const { process, isPruned: pruned } = sighting;
  const value = { process, initial: isInitial, pruned };
  return create(WatchProcessesResponseSchema, { message: { case: "change", value } });
}

function bookmarkOf(namespace: string, until: TimeMs): WatchProcessesResponse {
  const value = { cursor: cursorOf(namespace, until), completeUntil: timestampToProto(until) };
  return create(WatchProcessesResponseSchema, { message: { case: "bookmark", value } });
}

function endOf(
  reason: ProcessWatchEndReason,
  namespace: string,
  until: TimeMs,
): WatchProcessesResponse {
  const value = { reason, resumeAfterCursor: cursorOf(namespace, until) };
  return create(WatchProcessesResponseSchema, { message: { case: "end", value } });
}

function overflow(): RefusedError {
  const message = "The reader fell too far behind and was cut; resume after the last cursor";
  return new RefusedError(refusalOf("WATCH_OVERFLOW", message));
}

/** Makes the part of the service that watches a namespace. */
export function makeProcessFeed(options: ProcessServiceOptions): FeedService {
  const { streams, views, journal, tail, clock, limits, drainSignal } = options;

  function isOfNamespace(namespace: string, stream: StreamName): boolean {
    const address = parseStreamName(stream);
    return address?.kind === PROCESS_KIND && address.namespace === namespace;
  }

  /** The process at a revision or later; nothing when that cannot be read by this server. */
  async function lookUp(stream: StreamName, revision: Revision): Promise<readonly Sighting[]> {
    try {
      const fold = await streams.fresh(stream);
      // What could be seen but was not durable yet may have vanished with its server.
      return fold.revision < revision ? [] : [sightingOfFold(stream, fold)];
    } catch (error) {
      // It must not keep the others from being told.
      if (isUnreadable(error)) return [];
      throw error;
    }
  }

  async function sightingsOf(
    changed: ReadonlyMap<StreamName, Revision>,
  ): Promise<readonly Sighting[]> {
    const shown = await views.get([...changed.keys()]);
    const rows = new Map(shown.map((row) => [row.stream, row]));
    const found = await Promise.all(
      [...changed].map(async ([stream, revision]) => {
        const row = rows.get(stream);
        const isShown = row !== undefined && row.revision >= revision;
        return isShown ? [sightingOfRow(row)] : await lookUp(stream, revision);
      }),
    );
    return found.flat();
  }

  async function* initialRows(terms: FeedTerms): AsyncGenerator<StreamRow> {
    for (let afterId: string | undefined; ; ) {
      const rows = await views.list({
        ...liveProcesses(terms),
        ...(afterId === undefined ? {} : { afterId }),
        limit: INITIAL_PAGE,
      });
      yield* rows;
      if (rows.length < INITIAL_PAGE) return;
      afterId = rows.at(-1)?.id;
    }
  }

  async function* watched(
    changes: ChangedStreams,
    told: Told,
    terms: FeedTerms,
    signal: AbortSignal,
  ): AsyncGenerator<WatchProcessesResponse, void> {
    const { namespace, since, includesInitial } = terms;

    async function* tell(
      changed: Iterable<readonly [StreamName, Revision]>,
    ): AsyncGenerator<WatchProcessesResponse, void> {
      const news = [...changed].filter((change) => isNews(told, ...change));
      for (let start = 0; start < news.length; start += LOOKUPS_AT_ONCE) {
        const some = new Map(news.slice(start, start + LOOKUPS_AT_ONCE));
        for (const sighting of await sightingsOf(some)) {
          if (isWanted(terms, sighting)) yield changeOf(sighting, false);
          told.set(sighting.stream, sighting);
        }
      }
    }

    async function* initial(): AsyncGenerator<WatchProcessesResponse, void> {
      await viewsAsOf(options);
      for await (const row of initialRows(terms)) {
        if (signal.aborted || drainSignal.aborted) return;
        const sighting = sightingOfRow(row);
        yield changeOf(sighting, true);
        told.set(row.stream, sighting);
      }
    }

    /**
     * Everything behind the cursor that is in the journal by now. What lands meanwhile is heard,
     * what landed before may have been told to others only: the walk goes on to the present.
     */
    async function* missed(): AsyncGenerator<WatchProcessesResponse, void> {
      if (since === undefined) return;
      for await (const points of walkJournal(journal, { since })) {
        const own = points.filter(({ stream }) => isOfNamespace(namespace, stream));
        yield* tell(new Map(own.map(({ stream, revision }) => [stream, revision])));
        if (signal.aborted || drainSignal.aborted) return;
      }
    }

    const from = await changes.open();
    let completeUntil = Math.min(since ?? from, from);

    function ending(): WatchProcessesResponse | undefined {
      const reason = drainSignal.aborted
        ? ProcessWatchEndReason.SERVER_DRAINING
        : ProcessWatchEndReason.SLOW_READER;
      const isOver = drainSignal.aborted || changes.isOverflowed();
      return isOver ? endOf(reason, namespace, completeUntil) : undefined;
    }

    if (includesInitial) yield* initial();
    yield* missed();
    if (ending() === undefined && !signal.aborted) completeUntil = from;
    yield bookmarkOf(namespace, completeUntil);
    let spokeMs = clock.monotonicMs();
    for (let end = ending(); ; end = ending()) {
      if (signal.aborted) throw abortReasonOf(signal);
      if (end) yield end;
      if (changes.isOverflowed()) throw overflow();
      if (end) return;
      const { changed, until } = changes.take();
      yield* tell(changed);
      completeUntil = Math.max(completeUntil, until);
      // Nothing with an earlier time is heard again.
      for (const [stream, { at }] of told) if (at < completeUntil) told.delete(stream);
      const quietMs = clock.monotonicMs() - spokeMs;
      if (changed.size > 0 || quietMs >= BOOKMARK_INTERVAL_MS) {
        yield bookmarkOf(namespace, completeUntil);
        spokeMs = clock.monotonicMs();
      } else {
        await changes.arrival(BOOKMARK_INTERVAL_MS - quietMs);
      }
    }
  }

  return {
    watchProcesses: async function* watchProcesses(request, context) {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const { kind, afterCursor } = request;
      if (kind !== undefined) checkId(check, kind, "kind");
      const labels = checkLabels(check, request.labels, "labels");
      finish(check);
      const since = afterCursor === "" ? undefined : cursorTimeOf(namespace, afterCursor);
      const { includeInitial: includesInitial } = request;
      const told: Told = new Map();
      const changes = makeChangedStreams({
        tail,
        clock,
        accepts: (stream, revision) =>
          isNews(told, stream, revision) && isOfNamespace(namespace, stream),
        streamsMax: limits.watchBufferEventsMax,
        signals: [context.signal, drainSignal],
      });
      try {
        const terms = { namespace, kind, labels, since, includesInitial };
        yield* watched(changes, told, terms, context.signal);
      } finally {
        changes.close();
      }
    },
  };
}
