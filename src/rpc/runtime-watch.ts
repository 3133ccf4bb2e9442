/**
 * WatchRuntime: the events of a runtime from a position on, first out of the journal, then as they
 * are committed.
 *
 * X1  Every envelope behind the position is sent once and in order, or the stream says where it
 *     ends.
 * X2  A reader that is too slow costs a bounded buffer: then it is cut, with the place to resume.
 */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { envelopesOfCommit } from "../core/runtime/envelopes.ts";
import type { EnvelopeEvent } from "../core/runtime/envelope.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import type { Revision, StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { RuntimeCommit, RuntimeStreams } from "../dispatch/runtime-streams.ts";
import {
  type RuntimeControlPlaneService,
  WatchEndReason,
  type WatchRuntimeRequest,
  type WatchRuntimeResponse,
  WatchRuntimeResponseSchema,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { envelopeToProto, eventCategories } from "./codec/envelope.ts";
import { checkEnums } from "./codec/enum-codec.ts";
import { checkCount, type FieldCheck, finish, makeFieldCheck } from "./codec/field-check.ts";
import { runtimeToProto } from "./codec/runtime.ts";
import { abortReasonOf } from "./errors.ts";
import { checkRuntime, freshHistory, runtimeNotRegistered } from "./runtime-calls.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";
import type { RuntimeFold } from "./stored-inputs.ts";
import { makeWatchFeed, type WatchFeed } from "./watch-feed.ts";

type WatchService = Pick<ServiceImpl<typeof RuntimeControlPlaneService>, "watchRuntime">;

const BOOKMARK_INTERVAL_MS = 5_000;
/** Reads of the journal that may come back empty although a later commit is known. */
const EMPTY_READS_MAX = 100;

/** The last envelope sent, or a whole revision when there is no index. */
interface Position {
  readonly revision: Revision;
  readonly index?: number;
}

/** What a client asked for. */
interface WatchTerms {
  /** Undefined for the present. */
  readonly after: Position | undefined;
  readonly categories: ReadonlySet<EnvelopeEvent["category"]> | undefined;
}

function termsOf(check: FieldCheck, request: WatchRuntimeRequest): WatchTerms {
  const categories = checkEnums(check, eventCategories, request.categories, "categories");
  const { after } = request;
  const index = after?.index;
  return {
    after: after && {
      revision: checkCount(check, after.revision, "after.revision"),
      ...(index === undefined ? {} : { index }),
    },
    categories: categories && new Set(categories),
  };
}

function endOf(reason: WatchEndReason, position: Position): WatchRuntimeResponse {
  const { revision, index } = position;
  const resumeAfter = { revision: BigInt(revision), ...(index === undefined ? {} : { index }) };
  return create(WatchRuntimeResponseSchema, {
    message: { case: "end", value: { reason, resumeAfter } },
  });
}

/**
 * The bookmark of a position. None within a revision: a bookmark names whole revisions, and the one
 * before would send a reader who resumes there back behind what it was sent already.
 */
function* bookmarkOf({ revision, index }: Position): Generator<WatchRuntimeResponse> {
  if (index !== undefined) return;
  yield create(WatchRuntimeResponseSchema, {
    message: { case: "bookmark", value: { revision: BigInt(revision) } },
  });
}

function overflowAt(position: Position): RefusedError {
  const message = "The reader fell too far behind and was cut; resume after the last event";
  const { revision, index } = position;
  const metadata = { revision, ...(index === undefined ? {} : { index }) };
  return new RefusedError(refusalOf("WATCH_OVERFLOW", message, metadata));
}

/** Commits behind a fold up to a revision at least, page by page. */
async function* replayed(
  streams: RuntimeStreams,
  stream: StreamName,
  from: RuntimeFold,
  untilRevision: () => Revision,
): AsyncGenerator<RuntimeCommit> {
  let fold = from;
  let emptyReads = 0;
  while (fold.revision < untilRevision()) {
    const page = await streams.history(stream, fold);
    yield* page.commits;
    fold = page.fold;
    emptyReads = page.commits.length === 0 ? emptyReads + 1 : 0;
    if (emptyReads > EMPTY_READS_MAX) {
      const message = "A known revision cannot be read now; watch again from the last bookmark";
      throw new RefusedError(refusalOf("DATABASE_UNAVAILABLE", message, { stream }));
    }
  }
}

/** Makes the watching part of the service. */
export function makeRuntimeWatch(options: RuntimeServiceOptions): WatchService {
  const { streams, clock, limits, drainSignal, nowMs } = options;

  /** The messages of one commit, and the position that each of them leaves the reader at. */
  function* messagesOf(
    commit: RuntimeCommit,
    terms: WatchTerms,
  ): Generator<{ readonly message: WatchRuntimeResponse; readonly position: Position }> {
    const { revision, at, hash } = commit.after;
    const seen = terms.after?.revision === revision ? terms.after.index : undefined;
    for (const envelope of envelopesOfCommit(commit.before.state, commit.events, revision, at)) {
      if (seen !== undefined && envelope.index <= seen) continue;
      if (terms.categories && !terms.categories.has(envelope.event.category)) continue;
      const value = envelopeToProto(envelope, hash);
      const message = create(WatchRuntimeResponseSchema, { message: { case: "event", value } });
      yield { message, position: { revision, index: envelope.index } };
    }
  }

  /** The fold to begin after; one revision earlier when the position lies within a revision. */
  async function beginningOf(
    stream: StreamName,
    head: RuntimeFold,
    after: Position | undefined,
  ): Promise<RuntimeFold> {
    if (after === undefined) return head;
    const isWithin = after.index !== undefined && after.revision > 0;
    if (after.revision > head.revision) return await streams.at(stream, after.revision);
    return await streams.at(stream, isWithin ? after.revision - 1 : after.revision);
  }

  async function* watched(
    feed: WatchFeed<RuntimeState, RuntimeEvent>,
    stream: StreamName,
    begin: RuntimeFold,
    terms: WatchTerms,
    signal: AbortSignal,
  ): AsyncGenerator<WatchRuntimeResponse, void> {
    // The feed listens already: what is folded later is in it, what was folded is replayed.
    const { revision: head } = streams.peek(stream) ?? (await streams.known(stream));
    const isWithin = terms.after !== undefined && terms.after.revision > begin.revision;
    let position: Position = (isWithin && terms.after) || { revision: begin.revision };
    /** The last commit that was sent as a whole. */
    let complete = begin;
    let spokeMs = clock.monotonicMs();

    async function* send(commit: RuntimeCommit): AsyncGenerator<WatchRuntimeResponse, void> {
      for (const step of messagesOf(commit, terms)) {
        if (feed.isOverflowed()) return;
        yield step.message;
        ({ position } = step);
        spokeMs = clock.monotonicMs();
      }
      complete = commit.after;
      position = { revision: complete.revision };
    }

    function ending(): WatchRuntimeResponse | undefined {
      if (feed.isOverflowed()) return endOf(WatchEndReason.SLOW_READER, position);
      if (drainSignal.aborted) return endOf(WatchEndReason.SERVER_DRAINING, position);
      if (complete.state.phase !== "destroyed") return undefined;
      return endOf(WatchEndReason.RUNTIME_DESTROYED, position);
    }

    yield* bookmarkOf(position);
    for await (const commit of replayed(streams, stream, begin, () => head)) {
      yield* send(commit);
      if (ending() || signal.aborted) break;
    }
    if (complete.revision > begin.revision) yield* bookmarkOf(position);
    for (let end = ending(); ; end = ending()) {
      if (signal.aborted) throw abortReasonOf(signal);
      if (end) yield end;
      if (feed.isOverflowed()) throw overflowAt(position);
      if (end) return;
      const commit = feed.take();
      if (commit && commit.after.revision > complete.revision) yield* send(commit);
      const quietMs = clock.monotonicMs() - spokeMs;
      if (quietMs >= BOOKMARK_INTERVAL_MS) {
        yield* bookmarkOf(position);
        spokeMs = clock.monotonicMs();
      } else if (!commit) {
        await feed.arrival(BOOKMARK_INTERVAL_MS - quietMs);
      }
    }
  }

  return {
    watchRuntime: async function* watchRuntime(request, context) {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const terms = termsOf(check, request);
      finish(check);
      const { stream } = runtime;
      const head = await freshHistory(streams, runtime);
      if (terms.after === undefined && head.state.registration !== "registered") {
        throw runtimeNotRegistered(runtime.runtimeId);
      }
      const begin = await beginningOf(stream, head, terms.after);
      if (request.includeInitial) {
        const value = { runtime: runtimeToProto(namespace, begin.state, begin.revision, nowMs()) };
        yield create(WatchRuntimeResponseSchema, { message: { case: "initial", value } });
      }
      const feed = makeWatchFeed({
        streams,
        stream,
        clock,
        bufferEventsMax: limits.watchBufferEventsMax,
        bufferBytesMax: limits.watchBufferBytesMax,
        signals: [context.signal, drainSignal],
      });
      try {
        yield* watched(feed, stream, begin, terms, context.signal);
      } finally {
        feed.close();
      }
    },
  };
}
