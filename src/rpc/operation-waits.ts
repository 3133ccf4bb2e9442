/** Who waits for which operations, and for the feed of completions. */
import type { OperationResult } from "../core/runtime/operation-events.ts";
import type { Operation } from "../core/runtime/operation-state.ts";
import { type OperationId, operationIdOf, type StreamName } from "../core/shared/ids.ts";
import type { RuntimeCommit, RuntimeStreams } from "../dispatch/runtime-streams.ts";
import type { Clock } from "../engine/ports.ts";
import type { RuntimeFold } from "./stored-inputs.ts";
import { findOperation } from "./stored-operations.ts";
import { makeStreamWaits, type Telling, type WaitTerms } from "./stream-waits.ts";

/** The operations waited for as they are at the end of the wait, and the fold of that moment. */
export interface WaitedOperations {
  readonly operations: ReadonlyMap<OperationId, Operation>;
  readonly fold: RuntimeFold;
  /** What those came to that completed during the wait. */
  readonly results: ReadonlyMap<OperationId, OperationResult>;
}

/** What a wait for operations is about. */
export interface OperationWait {
  readonly stream: StreamName;
  readonly operationIds: readonly OperationId[];
  /** How many of them must have ended. */
  readonly endedCount: number;
  readonly terms: WaitTerms;
}

/** The waits of a process; each ends early with the registration of its runtime. */
export interface OperationWaits {
  /**
   * Waits until so many of the operations have ended, the time is up or the server goes down.
   * Throws OPERATION_NOT_FOUND.
   */
  readonly untilEnded: (wait: OperationWait, confirmed: RuntimeFold) => Promise<WaitedOperations>;
  /** Waits until an operation is another than it was; undefined when nothing has changed. */
  readonly untilChanged: (
    stream: StreamName,
    known: Operation,
    terms: WaitTerms,
  ) => Promise<Pick<OperationNews, "fold" | "results"> | undefined>;
  /** Counts a caller among the watchers of an operation until what it answers is called. */
  readonly attend: (stream: StreamName, operationIds: readonly OperationId[]) => () => void;
  /** Callers at this replica that watch an operation or wait for it. */
  readonly watcherCount: (stream: StreamName, operationId: OperationId) => number;
  /** Waits for a completion behind a completion sequence; undefined when there is none. */
  readonly untilCompleted: (
    stream: StreamName,
    afterSequence: number,
    terms: WaitTerms,
  ) => Promise<RuntimeFold | undefined>;
}

/** What the waits work with. */
export interface OperationWaitsOptions {
  readonly streams: RuntimeStreams;
  readonly clock: Pick<Clock, "after">;
  readonly drainSignal: AbortSignal;
}

/** What a commit brought about an operation, or about the feed. */
interface OperationNews {
  readonly operationId: OperationId;
  readonly fold: RuntimeFold;
  /** What the operations came to that the commit completed; read once for all who wait. */
  readonly results: ReadonlyMap<OperationId, OperationResult>;
}

const NO_RESULTS: ReadonlyMap<OperationId, OperationResult> = new Map();

/** Stands for the feed of completions; no id is empty. */
const FEED = operationIdOf("");

function isRegistered({ state }: RuntimeFold): boolean {
  return state.registration === "registered";
}

function resultsOf({ events }: RuntimeCommit): ReadonlyMap<OperationId, OperationResult> {
  const results = new Map<OperationId, OperationResult>();
  for (const event of events) {
    if (event.type === "operation_completed") results.set(event.operationId, event.result);
  }
  return results;
}

function hear(
  _stream: StreamName,
  commit: RuntimeCommit,
  { tell, tellAll, isAwaited }: Telling<OperationId, OperationNews>,
): void {
  const { after: fold } = commit;
  const results = resultsOf(commit);
  if (!isRegistered(fold)) {
    tellAll({ operationId: FEED, fold, results });
    return;
  }
  for (const event of commit.events) {
    if (!("operationId" in event) || "sequence" in event) continue;
    tell(event.operationId, { operationId: event.operationId, fold, results });
  }
  const { watermark } = commit.before.state.operations;
  const { operations } = fold.state;
  if (operations.watermark === watermark) return;
  for (const operationId of operations.ended.values(watermark + 1)) {
    if (isAwaited(operationId)) tell(operationId, { operationId, fold, results });
  }
  tell(FEED, { operationId: FEED, fold, results });
}

/** How many callers there are for each operation. */
function makeAttendance(): Pick<OperationWaits, "attend" | "watcherCount"> {
  const counts = new Map<string, number>();
  const nameOf = (stream: StreamName, operationId: OperationId): string => {
    // No name of a stream has a colon in it.
    return `${stream}:${operationId}`;
  };
  function add(name: string, change: 1 | -1): void {
    const count = (counts.get(name) ?? 0) + change;
    if (count > 0) counts.set(name, count);
    else counts.delete(name);
  }
  return {
    attend: (stream, operationIds) => {
      const names = operationIds.map((operationId) => nameOf(stream, operationId));
      for (const name of names) add(name, 1);
      return () => {
        for (const name of names) add(name, -1);
      };
    },
    watcherCount: (stream, operationId) => counts.get(nameOf(stream, operationId)) ?? 0,
  };
}

/** Makes the waits of a process. */
export function makeOperationWaits(options: OperationWaitsOptions): OperationWaits {
  const { streams } = options;
  const waits = makeStreamWaits({ ...options, hear });
  const attendance = makeAttendance();

  async function presentOf(stream: StreamName): Promise<RuntimeFold> {
    return streams.peek(stream) ?? (await streams.known(stream));
  }

  async function untilEnded(
    { stream, operationIds, endedCount, terms }: OperationWait,
    confirmed: RuntimeFold,
  ): Promise<WaitedOperations> {
    // An operation that ended keeps its place here whatever becomes of it in the registry.
    const operations = new Map<OperationId, Operation>();
    const results = new Map<OperationId, OperationResult>();
    let ended = 0;
    let fold = confirmed;
    const note = (operation: Operation | undefined): void => {
      if (operation === undefined) return;
      if (operations.get(operation.operationId)?.end !== undefined) return;
      operations.set(operation.operationId, operation);
      if (operation.end !== undefined) ended += 1;
    };
    const [topic, ...alsoTopics] = operationIds;
    if (topic === undefined) return { operations, fold, results };
    await waits.wait({
      stream,
      topic,
      alsoTopics,
      terms,
      present: async () => {
        const present = await presentOf(stream);
        if (present.revision > fold.revision) fold = present;
        for (const operationId of operationIds) {
          note(await findOperation(streams, stream, present, operationId));
        }
        return ended >= endedCount ? { operationId: topic, fold, results } : undefined;
      },
      accepts: (news) => {
        ({ fold } = news);
        note(fold.state.operations.operations.get(news.operationId));
        const result = news.results.get(news.operationId);
        if (result !== undefined) results.set(news.operationId, result);
        return ended >= endedCount || !isRegistered(fold);
      },
    });
    return { operations, fold, results };
  }

  return {
    ...attendance,
    untilEnded: async (wait, confirmed) => {
      const leave = attendance.attend(wait.stream, wait.operationIds);
      try {
        return await untilEnded(wait, confirmed);
      } finally {
        leave();
      }
    },

    untilChanged: async (stream, known, terms) => {
      const { operationId } = known;
      return await waits.wait({
        stream,
        topic: operationId,
        terms,
        present: async () => {
          const fold = await presentOf(stream);
          const operation = await findOperation(streams, stream, fold, operationId);
          const isSame = operation === known && isRegistered(fold);
          return isSame ? undefined : { operationId, fold, results: NO_RESULTS };
        },
      });
    },

    untilCompleted: async (stream, afterSequence, terms) => {
      const isOver = (fold: RuntimeFold): boolean =>
        fold.state.operations.watermark > afterSequence || !isRegistered(fold);
      const news = await waits.wait({
        stream,
        topic: FEED,
        terms,
        present: async () => {
          const fold = await presentOf(stream);
          return isOver(fold) ? { operationId: FEED, fold, results: NO_RESULTS } : undefined;
        },
        accepts: ({ fold }) => isOver(fold),
      });
      return news?.fold;
    },
  };
}
