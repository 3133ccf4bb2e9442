/**
 * Composes the machinery of one replica and hands out the streams of each aggregate. A process has one
 * engine; several engines may share one storage (that is what replicas are).
 */
import type { Aggregate } from "../core/shared/aggregate.ts";
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { makeAnswerTimeouts } from "./answer-timeouts.ts";
import { type Checkpointer, makeCheckpointer } from "./checkpointer.ts";
import { type Committer, makeCommitter } from "./committer.ts";
import { type DatabaseTime, makeDatabaseTime } from "./database-time.ts";
import { makeDurableReads, type DurableReads } from "./durable-reads.ts";
import { makeProber, type Prober } from "./freshness.ts";
import { type JournalWriter, makeJournalWriter } from "./journal-writer.ts";
import { type ListenedStreams, makeListenedStreams } from "./listened-streams.ts";
import { type Loader, makeLoader } from "./loader.ts";
import { makeMembership, type Membership } from "./membership.ts";
import type { EngineObserver } from "./observer.ts";
import type { Clock, Entropy, Storage, StoredCommit } from "./ports.ts";
import { makeSignalRelay, type SignalRelay } from "./signal-relay.ts";
import { makeStreamCache, type StreamCache } from "./stream-cache.ts";
import type { StreamEntry } from "./stream-entry.ts";
import { foldBytes, type FoldedCommit } from "./stream-fold.ts";
import { makeStreams } from "./stream-access.ts";
import type { Streams } from "./streams.ts";
import { makeViewBacklog, type ViewBacklog } from "./view-backlog.ts";

/** Configuration of an engine. */
export interface EngineOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly observer: EngineObserver;
  readonly replicaId: string;
  /** Where this replica listens, for people. */
  readonly address: string;
  readonly version: string;
  readonly cacheBytesMax: number;
  /** How long a call waits for its commit before it is answered without it. */
  readonly answerTimeoutMs: number;
}

/** Hears every commit folded here, own or foreign, of all streams of one aggregate. */
export type AdvanceListener<State, Event> = (
  stream: StreamName,
  commit: FoldedCommit<State, Event>,
) => void;

/** The machinery shared by all aggregates of a process. */
export interface EngineParts {
  readonly options: EngineOptions;
  readonly time: DatabaseTime;
  readonly cache: StreamCache;
  readonly loader: Loader;
  readonly committer: Committer;
  readonly checkpointer: Checkpointer;
  readonly prober: Prober;
  readonly reads: DurableReads;
  readonly listened: ListenedStreams;
  readonly views: ViewBacklog;
  readonly readAt: (stream: StreamName, revision: number) => Promise<StoredCommit>;
  /** True once `stop` was called: nothing new is taken. */
  readonly isStopping: () => boolean;
}

/** One replica's engine. */
export interface Engine {
  /** The streams of an aggregate; call once per aggregate, before `start`. */
  readonly streamsOf: <State, Command, Event, Reply>(
    aggregate: Aggregate<State, Command, Event, Reply>,
    onAdvance?: AdvanceListener<State, Event>,
  ) => Streams<State, Command, Event, Reply>;
  /** Joins the other replicas; resolves when the database has answered. */
  readonly start: () => Promise<void>;
  /** Finishes commits in flight, flushes views, leaves the other replicas. */
  readonly stop: () => Promise<void>;
  readonly time: DatabaseTime;
  readonly membership: Membership;
  readonly relay: Pick<SignalRelay, "tellRunnable">;
  readonly writer: Pick<JournalWriter, "backlog" | "isFailing">;
  readonly views: Pick<ViewBacklog, "flush" | "size" | "oldestMs">;
  readonly cache: Pick<StreamCache, "stats">;
  /** Registers who hears of streams that became runnable at other replicas. */
  readonly onRunnableElsewhere: (listener: (streams: readonly StreamName[]) => void) => void;
}

const WATERMARK_SLACK_MS = 2000;
const STOP_WAIT_MS = 10_000;

function makeReadAt(storage: Storage): EngineParts["readAt"] {
  return async (stream, revision) => {
    const [commit] = await storage.journal.readAt([{ stream, revision }]);
    if (commit) return commit;
    throw new RefusedError(
      refusalOf("REVISION_NOT_FOUND", "The stream has no commit at this revision", {
        stream,
        revision,
      }),
    );
  };
}

/** Makes an engine; nothing runs before `start` but timers that find nothing to do. */
export function makeEngine(options: EngineOptions): Engine {
  const { storage, clock, entropy, observer } = options;
  const { journal } = storage;
  const time = makeDatabaseTime(clock);
  const reads = makeDurableReads(journal);
  const prober = makeProber(journal);
  const cache = makeStreamCache(options.cacheBytesMax);
  const views = makeViewBacklog(storage.views, clock, observer);
  const timeouts = makeAnswerTimeouts(clock, options.answerTimeoutMs);
  const listened = makeListenedStreams(prober, observer);
  const loader = makeLoader({ reads, checkpoints: storage.checkpoints, clock, observer });
  const readAt = makeReadAt(storage);
  let onRunnable: (streams: readonly StreamName[]) => void = () => undefined;
  let stopping = false;

  const lowWatermark = (): TimeMs => (views.oldestMs() ?? time.nowMs()) - WATERMARK_SLACK_MS;
  const { replicaId, address, version } = options;
  const { replicas } = storage;
  const membership = makeMembership({
    ...{ replicas, clock, time, observer, replicaId, address, version, lowWatermark },
  });
  const relay = makeSignalRelay({
    signals: storage.signals,
    clock,
    observer,
    replicaId,
    hasOthers: membership.hasOthers,
    onMoved: listened.moved,
    onMaybeMoved: () => void listened.probeAll(),
    onRunnable: (streams) => onRunnable(streams),
  });
  const writer = makeJournalWriter({ journal, clock, entropy, observer, onStored: relay.tell });
  const advanceListeners = new Map<string, AdvanceListener<never, never>[]>();

  function onFolded<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    commit: FoldedCommit<State, Event>,
  ): void {
    const bytesBefore = entry.bytes;
    entry.bytes = foldBytes(entry.aggregate, commit.after);
    cache.resized(bytesBefore, entry.bytes);
    views.touch(entry, commit.stored.at);
    checkpointer.consider(entry);
    const all = (advanceListeners.get(entry.aggregate.kind) ?? []) as unknown as readonly ((
      stream: StreamName,
      commit: FoldedCommit<State, Event>,
    ) => void)[];
    try {
      for (const listener of all) listener(entry.stream, commit);
      for (const listener of entry.listeners ?? []) listener(commit);
    } catch (error) {
      observer.backgroundFailed("listener", error);
    }
  }

  const committer = makeCommitter({
    ...{ writer, reads, readAt, prober, loader, records: storage.records },
    ...{ clock, entropy, observer, onFolded },
    nowMs: time.nowMs,
    pressure: views.pressure,
    onActive: timeouts.watch,
  });
  const checkpointer = makeCheckpointer({
    records: storage.records,
    checkpoints: storage.checkpoints,
    committer,
    observer,
  });
  const parts: EngineParts = {
    ...{ options, time, cache, loader, committer, checkpointer, prober, reads, listened, views },
    readAt,
    isStopping: () => stopping,
  };

  async function start(): Promise<void> {
    await membership.join();
    await relay.start();
  }

  async function stop(): Promise<void> {
    stopping = true;
    const deadlineMs = clock.monotonicMs() + STOP_WAIT_MS;
    while (writer.backlog().commits > 0 && clock.monotonicMs() < deadlineMs) {
      await new Promise<void>((resolve) => clock.after(10, resolve));
    }
    writer.stop();
    views.stop();
    timeouts.stop();
    await relay.stop();
    await views.flush();
    await membership.leave();
  }

  return {
    streamsOf: (aggregate, onAdvance) => {
      const listeners = advanceListeners.get(aggregate.kind) ?? [];
      if (onAdvance) listeners.push(onAdvance as unknown as AdvanceListener<never, never>);
      advanceListeners.set(aggregate.kind, listeners);
      return makeStreams(parts, aggregate);
    },
    start,
    stop,
    time,
    membership,
    relay,
    writer,
    views,
    cache,
    onRunnableElsewhere: (listener) => {
      onRunnable = listener;
    },
  };
}
