/** ListEvents, ListWakeEvents, WaitEvent and AwaitProcess: a process's history, past and next. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { hasOrdinal } from "../core/process/ordinal-ranges.ts";
import type { EventHeader, EventTypeCount, ProcessState } from "../core/process/state.ts";
import type { StreamName } from "../core/shared/ids.ts";
import type { ProcessFold } from "../dispatch/process-streams.ts";
import type { ProcessEvent } from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  AwaitProcessResponseSchema,
  ListEventsResponseSchema,
  ListWakeEventsResponseSchema,
  type ProcessRegistryService,
  WaitEventResponseSchema,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import {
  checkCount,
  checkId,
  type FieldCheck,
  finish,
  makeFieldCheck,
  violate,
} from "./codec/field-check.ts";
import { checkPageSize } from "./codec/page-token.ts";
import { eventToProto } from "./codec/process-event.ts";
import { endToProto } from "./codec/process.ts";
import { readLatest, readPage } from "./ordinal-pages.ts";
import { assertReadable, checkProcess, freshProcess, type NamedProcess } from "./process-calls.ts";
import type { ProcessServiceOptions } from "./process-options.ts";
import { headersOf, outputOfEnd, readLogged, settlementOf } from "./stored-processes.ts";
import { waitMs } from "./wait-time.ts";

type EventReadService = Pick<
  ServiceImpl<typeof ProcessRegistryService>,
  "listEvents" | "listWakeEvents" | "waitEvent" | "awaitProcess"
>;

const PAGE_BYTES_MAX = 4 * 1024 * 1024;
const TYPES_MAX = 64;

/** Types to choose by; undefined for all. */
export function checkEventTypes(
  check: FieldCheck,
  eventTypes: readonly string[],
): ReadonlySet<string> | undefined {
  if (eventTypes.length === 0) return undefined;
  if (eventTypes.length > TYPES_MAX) violate(check, "event_types", `must be at most ${TYPES_MAX}`);
  for (const [index, type] of eventTypes.slice(0, TYPES_MAX).entries()) {
    checkId(check, type, `event_types[${index}]`);
  }
  return new Set(eventTypes);
}

/** Which events of a history are wanted. */
interface HistoryTerms {
  readonly afterSequence: number;
  /** The last sequence that is wanted. */
  readonly throughSequence: number;
  readonly pageSize: number;
  /** Types that are wanted; undefined for all. */
  readonly types: ReadonlySet<string> | undefined;
  readonly matches: (header: EventHeader) => boolean;
}

/** A page of a history. */
interface HistoryPage {
  readonly events: ProcessEvent[];
  readonly nextAfterSequence: bigint;
  readonly isEnd: boolean;
}

/** Events that are read together before their size is looked at. */
const READS_AT_ONCE = 32;
/** Headers are small: what bounds a page is the size of its events. */
const UNMEASURED = { bytesMax: Number.POSITIVE_INFINITY, bytesOf: () => 0 };

/** How many events of these types there are, and where the last one is. */
function countOf(
  { typeCounts, lastSequence }: ProcessState,
  types: ReadonlySet<string> | undefined,
): Pick<EventTypeCount, "count" | "lastSequence"> {
  if (types === undefined) return { count: lastSequence, lastSequence };
  let counted = { count: 0, lastSequence: 0 };
  for (const type of types) {
    const { count = 0, lastSequence: last = 0 } = typeCounts.get(type) ?? {};
    const later = Math.max(counted.lastSequence, last);
    counted = { count: counted.count + count, lastSequence: later };
  }
  return counted;
}

/** Makes the part of the service that reads histories. */
export function makeProcessEventReads(options: ProcessServiceOptions): EventReadService {
  const { streams, limits, waits } = options;

  /** The first events of these headers, as many as fit into a page. */
  async function fitting(
    stream: StreamName,
    state: ProcessState,
    headers: readonly EventHeader[],
  ): Promise<ProcessEvent[]> {
    const events: ProcessEvent[] = [];
    let bytes = 0;
    for (let start = 0; start < headers.length; start += READS_AT_ONCE) {
      const some = headers.slice(start, start + READS_AT_ONCE);
      for (const [index, logged] of (await readLogged(streams, stream, some)).entries()) {
        bytes += JSON.stringify(logged.appended.payload).length;
        if (events.length > 0 && bytes > PAGE_BYTES_MAX) return events;
        events.push(eventToProto(state, logged, some[index]?.wake?.settlement));
      }
    }
    return events;
  }

  /** The first matching events. */
  async function pageOf(
    { stream }: NamedProcess,
    state: ProcessState,
    terms: HistoryTerms,
  ): Promise<HistoryPage> {
    const { afterSequence, matches } = terms;
    const end = Math.min(terms.throughSequence, state.lastSequence);
    const pageSize = Math.min(terms.pageSize, Math.max(1, end - afterSequence));
    const page = await readPage(headersOf(streams, stream, state), afterSequence, {
      ...UNMEASURED,
      pageSize,
      matches,
    });
    const headers = page.items.filter((header) => header.sequence <= end);
    const events = await fitting(stream, state, headers);
    const isCut = events.length < headers.length;
    const next = isCut ? Number(events.at(-1)?.sequence ?? 0n) : page.next;
    const isEnd = next === undefined || next >= end;
    const nextAfterSequence = BigInt(isEnd ? Math.max(end, afterSequence) : next);
    return { events, nextAfterSequence, isEnd };
  }

  /** The last matching events, looked for from the end. */
  async function latestOf(
    { stream }: NamedProcess,
    state: ProcessState,
    terms: HistoryTerms,
  ): Promise<HistoryPage> {
    const { afterSequence, pageSize, types, matches } = terms;
    const end = Math.min(terms.throughSequence, state.lastSequence);
    const counted = countOf(state, types);
    const { items, next } = await readLatest(headersOf(streams, stream, state), {
      afterOrdinal: afterSequence,
      throughOrdinal: Math.min(end, counted.lastSequence),
      count: Math.min(pageSize, counted.count),
      matches,
    });
    const events = (await fitting(stream, state, items.toReversed())).toReversed();
    const isCut = events.length < items.length;
    const before = isCut ? Number(events[0]?.sequence ?? 1n) - 1 : next;
    return { events, nextAfterSequence: BigInt(before ?? end), isEnd: before === undefined };
  }

  async function eventOf(
    stream: StreamName,
    { logged, fold }: NonNullable<Awaited<ReturnType<typeof waits.event>>>,
  ): Promise<ProcessEvent> {
    const settlement = await settlementOf(streams, stream, fold.state, logged);
    return eventToProto(fold.state, logged, settlement);
  }

  /** The end as it is known when a wait is over, without another look into the database. */
  function latestKnown(stream: StreamName, fold: ProcessFold): ProcessFold {
    return streams.peek(stream) ?? fold;
  }

  return {
    listEvents: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const named = checkProcess(check, namespace, request.processId);
      const afterSequence = checkCount(check, request.afterSequence, "after_sequence");
      const through = request.throughSequence;
      const throughSequence =
        through === undefined
          ? Number.POSITIVE_INFINITY
          : checkCount(check, through, "through_sequence");
      const types = checkEventTypes(check, request.eventTypes);
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const { state } = await freshProcess(streams, named);
      const matches = ({ eventType }: EventHeader): boolean => types?.has(eventType) ?? true;
      const terms = { afterSequence, throughSequence, pageSize, types, matches };
      const page = await (request.latest ? latestOf : pageOf)(named, state, terms);
      const lastSequence = BigInt(state.lastSequence);
      return create(ListEventsResponseSchema, { ...page, lastSequence });
    },

    listWakeEvents: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const named = checkProcess(check, namespace, request.processId);
      const afterSequence = checkCount(check, request.afterSequence, "after_sequence");
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const { state } = await freshProcess(streams, named);
      const { unacknowledgedWakes } = state;
      const matches = ({ wake }: EventHeader): boolean =>
        wake !== undefined && hasOrdinal(unacknowledgedWakes, wake.wakeOrdinal);
      const throughSequence = Number.POSITIVE_INFINITY;
      const page = await pageOf(named, state, {
        afterSequence,
        throughSequence,
        pageSize,
        types: undefined,
        matches,
      });
      return create(ListWakeEventsResponseSchema, page);
    },

    waitEvent: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const named = checkProcess(check, namespace, request.processId);
      const eventType = checkId(check, request.eventType, "event_type");
      const afterSequence = checkCount(check, request.afterSequence, "after_sequence");
      const timeoutMs = waitMs(check, request.timeout, 0, limits.longPollMaxMs, context);
      finish(check);
      await freshProcess(streams, named);
      const terms = { timeoutMs, signal: context.signal };
      const awaited = await waits.event(named.stream, eventType, afterSequence, terms);
      const event = awaited && (await eventOf(named.stream, awaited));
      return create(WaitEventResponseSchema, event && { event });
    },

    awaitProcess: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const named = checkProcess(check, namespace, request.processId);
      const timeoutMs = waitMs(check, request.timeout, 0, limits.longPollMaxMs, context);
      finish(check);
      const { stream, processId } = named;
      const fold = await freshProcess(streams, named);
      const awaited = await waits.end(stream, { timeoutMs, signal: context.signal });
      const end = awaited?.fold.state.end;
      if (awaited && end) {
        const value = endToProto(end, outputOfEnd(awaited.fold.state, awaited.logged));
        return create(AwaitProcessResponseSchema, { outcome: { case: "ended", value } });
      }
      const known = latestKnown(stream, fold);
      assertReadable(known, processId);
      const value = { lastSequence: BigInt(known.state.lastSequence) };
      return create(AwaitProcessResponseSchema, { outcome: { case: "pending", value } });
    },
  };
}
