/**
 * WatchEvents: the events of a process from a sequence on, first out of its history, then as they
 * are appended.
 *
 * X1  Every event behind the position is sent once and in order, or the stream says where it ends.
 * X2  A reader that is too slow costs a bounded buffer: then it is cut, with the place to resume.
 */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { ProcessStreamEvent } from "../core/process/events.ts";
import { type LoggedEvent, loggedEventsOf } from "../core/process/logged-event.ts";
import type { EventHeader, ProcessState } from "../core/process/state.ts";
import type { StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { ProcessCommit, ProcessFold } from "../dispatch/process-streams.ts";
import {
  type ProcessRegistryService,
  ProcessWatchEndReason,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { checkCount, finish, makeFieldCheck } from "./codec/field-check.ts";
import { eventToProto } from "./codec/process-event.ts";
import { abortReasonOf } from "./errors.ts";
import { readPage } from "./ordinal-pages.ts";
import { checkProcess, freshProcess } from "./process-calls.ts";
import { checkEventTypes } from "./process-event-reads.ts";
import type { ProcessServiceOptions } from "./process-options.ts";
import { headersOf, readLogged } from "./stored-processes.ts";
import { makeWatchFeed, type WatchFeed } from "./watch-feed.ts";

type WatchService = Pick<ServiceImpl<typeof ProcessRegistryService>, "watchEvents">;

const BOOKMARK_INTERVAL_MS = 5_000;
/** Events that are read together out of the history. */
const READS_AT_ONCE = 32;

type EventFeed = WatchFeed<ProcessState, ProcessStreamEvent>;

/** What a client asked for. */
interface WatchTerms {
  readonly afterSequence: number;
  readonly types: ReadonlySet<string> | undefined;
}

function bookmarkOf(sequence: number): WatchEventsResponse {
  const value = { sequence: BigInt(sequence) };
  return create(WatchEventsResponseSchema, { message: { case: "bookmark", value } });
}

function endOf(reason: ProcessWatchEndReason, sequence: number): WatchEventsResponse {
  const value = { reason, resumeAfterSequence: BigInt(sequence) };
  return create(WatchEventsResponseSchema, { message: { case: "end", value } });
}

function overflowAt(sequence: number): RefusedError {
  const message = "The reader fell too far behind and was cut; resume after the last event";
  return new RefusedError(refusalOf("WATCH_OVERFLOW", message, { sequence }));
}

/** Makes the part of the service that watches one process. */
export function makeProcessWatch(options: ProcessServiceOptions): WatchService {
  const { streams, clock, limits, drainSignal } = options;

  /** Logged events behind a sequence, out of the history of a fold. */
  async function* replayed(
    stream: StreamName,
    { state }: ProcessFold,
    terms: WatchTerms,
  ): AsyncGenerator<{ readonly logged: LoggedEvent; readonly header: EventHeader }> {
    const page = {
      pageSize: READS_AT_ONCE,
      bytesMax: Number.POSITIVE_INFINITY,
      bytesOf: () => 0,
      matches: ({ eventType }: EventHeader) => terms.types?.has(eventType) ?? true,
    };
    const source = headersOf(streams, stream, state);
    for (let after: number | undefined = terms.afterSequence; after !== undefined; ) {
      const { items, next }: Awaited<ReturnType<typeof readPage<EventHeader>>> = await readPage(
        source,
        after,
        page,
      );
      const logged = await readLogged(streams, stream, items);
      for (const [index, header] of items.entries()) {
        const event = logged[index];
        if (event) yield { logged: event, header };
      }
      after = next;
    }
  }

  function messageOf(
    state: ProcessState,
    logged: LoggedEvent,
    settlement: NonNullable<EventHeader["wake"]>["settlement"],
  ): WatchEventsResponse {
    const value = eventToProto(state, logged, settlement);
    return create(WatchEventsResponseSchema, { message: { case: "event", value } });
  }

  async function* watched(
    feed: EventFeed,
    stream: StreamName,
    terms: WatchTerms,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEventsResponse, void> {
    // The feed listens already: what is folded later is in it, what was folded is replayed.
    const begin = streams.peek(stream) ?? (await streams.known(stream));
    let { state } = begin;
    /** Every matching event up to here was sent. */
    let position = terms.afterSequence;
    let spokeMs = clock.monotonicMs();

    function* send({ events, after }: ProcessCommit): Generator<WatchEventsResponse, void> {
      ({ state } = after);
      const { revision, at } = after;
      for (const logged of loggedEventsOf(events, { revision, index: 0, at })) {
        if (feed.isOverflowed()) return;
        const { sequence } = logged.place;
        if (sequence <= position) continue;
        if (terms.types?.has(logged.appended.eventType) ?? true) {
          yield messageOf(state, logged, undefined);
          spokeMs = clock.monotonicMs();
        }
        position = sequence;
      }
    }

    function ending(): WatchEventsResponse | undefined {
      if (feed.isOverflowed()) return endOf(ProcessWatchEndReason.SLOW_READER, position);
      if (drainSignal.aborted) return endOf(ProcessWatchEndReason.SERVER_DRAINING, position);
      if (state.prunedAt === null) return undefined;
      return endOf(ProcessWatchEndReason.PROCESS_PRUNED, position);
    }

    yield bookmarkOf(position);
    let isInterrupted = false;
    for await (const { logged, header } of replayed(stream, begin, terms)) {
      isInterrupted = ending() !== undefined || signal.aborted;
      if (isInterrupted) break;
      yield messageOf(state, logged, header.wake?.settlement);
      position = logged.place.sequence;
    }
    if (!isInterrupted && begin.state.lastSequence > terms.afterSequence) {
      position = Math.max(position, begin.state.lastSequence);
      yield bookmarkOf(position);
    }
    for (let end = ending(); ; end = ending()) {
      if (signal.aborted) throw abortReasonOf(signal);
      if (end) yield end;
      if (feed.isOverflowed()) throw overflowAt(position);
      if (end) return;
      const commit = feed.take();
      if (commit) yield* send(commit);
      const quietMs = clock.monotonicMs() - spokeMs;
      if (quietMs >= BOOKMARK_INTERVAL_MS) {
        yield bookmarkOf(position);
        spokeMs = clock.monotonicMs();
      } else if (!commit) {
        await feed.arrival(BOOKMARK_INTERVAL_MS - quietMs);
      }
    }
  }

  return {
    watchEvents: async function* watchEvents(request, context) {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const named = checkProcess(check, namespace, request.processId);
      const types = checkEventTypes(check, request.eventTypes);
      const asked = request.afterSequence;
      const after = asked === undefined ? undefined : checkCount(check, asked, "after_sequence");
      finish(check);
      const { stream } = named;
      const head = await freshProcess(streams, named);
      const afterSequence = after ?? head.state.lastSequence;
      const feed: EventFeed = makeWatchFeed({
        streams,
        stream,
        clock,
        bufferEventsMax: limits.watchBufferEventsMax,
        bufferBytesMax: limits.watchBufferBytesMax,
        signals: [context.signal, drainSignal],
      });
      try {
        yield* watched(feed, stream, { afterSequence, types }, context.signal);
      } finally {
        feed.close();
      }
    },
  };
}
