/**
 * Composes the machinery of one replica and hands out the streams of each aggregate. A process has
 * one engine; several engines may share one storage (that is what replicas are).
 */
import type { Aggregate } from "../core/shared/aggregate.ts";
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { makeAnswerTimeouts } from "./answer-timeouts.ts";
import { delay } from "./backoff.ts";
import { type Checkpointer, makeCheckpointer } from "./checkpointer.ts";
import { type CommitterOptions, makeCommitter } from "./committer.ts";
import { type DatabaseTime, makeDatabaseTime } from "./database-time.ts";
import { makeDurableReads } from "./durable-reads.ts";
import { makeProber } from "./freshness.ts";
import { type JournalWriter, makeJournalWriter } from "./journal-writer.ts";
import { type ListenedStreams, makeListenedStreams } from "./listened-streams.ts";
import { type JournalTail, makeJournalTail } from "./journal-tail.ts";
import { makeLoader } from "./loader.ts";
import { makeMembership, type Membership } from "./membership.ts";
import type { EngineOptions, EngineParts } from "./engine-parts.ts";
import type { EngineObserver } from "./observer.ts";
import type { Clock, Storage } from "./ports.ts";
import { makeRepair, type Repair } from "./repair.ts";
import { makeSignalRelay, type SignalRelay, type SignalRelayOptions } from "./signal-relay.ts";
import { type CacheBudget, makeCacheBudget } from "./stream-cache.ts";
import type { AdvanceListener } from "./stream-entry.ts";
import { foldBytes } from "./stream-fold.ts";
import { makeStreams } from "./stream-access.ts";
import { parseStreamName } from "./stream-name.ts";
import type { Streams } from "./streams.ts";
import { isSameStanding, makeViewBacklog, type ViewBacklog } from "./view-backlog.ts";

/** Hears at other replicas: of streams that became runnable, of executors that attached. */
export type NewsListener = Partial<Pick<SignalRelayOptions, "onRunnable" | "onAttached">>;

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
  readonly relay: Pick<SignalRelay, "tellRunnable" | "tellAttached">;
  readonly writer: Pick<JournalWriter, "backlog" | "isFailing">;
  readonly views: Pick<ViewBacklog, "flush" | "flushMoved" | "size" | "oldestMs">;
  readonly cache: Pick<CacheBudget, "stats">;
  readonly repair: Pick<Repair, "rebuild">;
  /** The end of the journal, for those who want to hear of every commit of every replica. */
  readonly tail: JournalTail;
  /** Registers another one who hears of what happened at other replicas. */
  readonly onNewsElsewhere: (listener: NewsListener) => void;
}

const WATERMARK_SLACK_MS = 2000;
const STOP_WAIT_MS = 10_000;
const STOP_LOOK_MS = 10;

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

/** What happens after every commit folded here, own or foreign. */
function makeOnFolded(
  budget: CacheBudget,
  views: ViewBacklog,
  observer: EngineObserver,
  considerCheckpoint: Checkpointer["consider"],
): CommitterOptions["onFolded"] {
  /** A listener that throws costs itself, not the stream. */
  function hear(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      observer.backgroundFailed("listener", error);
    }
  }

  return (entry, commit) => {
    const { aggregate, stream } = entry;
    budget.measured(entry, foldBytes(aggregate, commit.after));
    considerCheckpoint(entry);
    hear(() => {
      const before = entry.standing ?? aggregate.summarize(commit.before.state);
      entry.standing = null;
      const after = aggregate.summarize(commit.after.state);
      entry.standing = after;
      views.touch(entry, commit.stored.at, !isSameStanding(before, after));
      entry.onAdvance?.(stream, commit, { before, after });
    });
    for (const listener of entry.listeners ?? []) hear(() => listener(commit));
  };
}

/** This replica among the others, and the hints that go between them. */
function makeNeighbourhood(
  options: EngineOptions,
  time: DatabaseTime,
  oldestMs: () => TimeMs,
  listened: ListenedStreams,
  news: readonly NewsListener[],
): { readonly membership: Membership; readonly relay: SignalRelay; readonly tail: JournalTail } {
  const { storage, clock, observer, replicaId, address, version } = options;
  const membership = makeMembership({
    replicas: storage.replicas,
    clock,
    time,
    observer,
    replicaId,
    address,
    version,
    lowWatermark: () => oldestMs() - WATERMARK_SLACK_MS,
  });
  const relay = makeSignalRelay({
    signals: storage.signals,
    clock,
    observer,
    replicaId,
    hasOthers: membership.hasOthers,
    onMoved: listened.moved,
    onMaybeMoved: () => void listened.probeAll(),
    onRunnable: (points) => {
      for (const listener of news) listener.onRunnable?.(points);
    },
    onAttached: (lease) => {
      for (const listener of news) listener.onAttached?.(lease);
    },
  });
  const tail = makeJournalTail({ journal: storage.journal, clock, membership, observer });
  return { membership, relay, tail };
}

async function waitUntil(clock: Clock, limitMs: number, isDone: () => boolean): Promise<void> {
  const deadlineMs = clock.monotonicMs() + limitMs;
  while (!isDone() && clock.monotonicMs() < deadlineMs) await delay(clock, STOP_LOOK_MS);
}

/** Makes an engine; nothing runs before `start` but timers that find nothing to do. */
export function makeEngine(options: EngineOptions): Engine {
  const { storage, clock, entropy, observer, replicaId } = options;
  const { journal, records, checkpoints } = storage;
  const time = makeDatabaseTime(clock);
  const reads = makeDurableReads(journal);
  const prober = makeProber(journal);
  const budget = makeCacheBudget(options.cacheBytesMax);
  const views = makeViewBacklog(storage.views, clock, observer);
  const timeouts = makeAnswerTimeouts(clock, options.answerTimeoutMs);
  const listened = makeListenedStreams(prober, observer);
  const loader = makeLoader({ reads, budget, checkpoints, clock, observer });
  const readAt = makeReadAt(storage);
  const news: NewsListener[] = [];
  let stopping = false;

  /** Time of the oldest commit that is in flight or not in the views yet; now when all are. */
  const oldestMs = (): TimeMs =>
    Math.min(time.nowMs(), writer.oldestMs() ?? Infinity, views.oldestMs() ?? Infinity);
  const neighbours = makeNeighbourhood(options, time, oldestMs, listened, news);
  const { membership, relay, tail } = neighbours;
  const writer = makeJournalWriter({ journal, clock, entropy, observer, onStored: relay.tell });
  const committer = makeCommitter({
    writer,
    reads,
    readAt,
    prober,
    loader,
    records,
    clock,
    entropy,
    observer,
    onFolded: makeOnFolded(budget, views, observer, (entry) => checkpointer.consider(entry)),
    nowMs: time.nowMs,
    pressure: views.pressure,
    onActive: timeouts.watch,
  });
  const checkpointer = makeCheckpointer({ records, checkpoints, committer, budget, observer });
  const parts: EngineParts = {
    options,
    time,
    budget,
    loader,
    committer,
    prober,
    reads,
    listened,
    views,
    readAt,
    isStopping: () => stopping,
  };
  const reprojections = new Map<string, (stream: StreamName) => Promise<void>>();
  const repair = makeRepair({
    storage,
    clock,
    time,
    membership,
    observer,
    replicaId,
    flush: views.flush,
    reproject: (stream) => reprojections.get(parseStreamName(stream)?.kind ?? "")?.(stream),
  });

  async function stop(): Promise<void> {
    stopping = true;
    repair.stop();
    await waitUntil(clock, STOP_WAIT_MS, timeouts.isIdle);
    writer.stop();
    views.stop();
    timeouts.stop();
    await relay.stop();
    try {
      await views.flush();
      await membership.leave();
    } catch (error) {
      // The row stays: another replica projects what this one could not.
      membership.stop();
      observer.backgroundFailed("farewell", error);
    }
  }

  return {
    streamsOf: (aggregate, onAdvance) => {
      const streams = makeStreams(parts, aggregate, onAdvance);
      reprojections.set(aggregate.kind, streams.reproject);
      return streams;
    },
    start: async () => {
      await membership.join();
      await relay.start();
      repair.start();
    },
    stop,
    time,
    membership,
    relay,
    writer,
    views,
    cache: budget,
    repair,
    tail,
    onNewsElsewhere: (listener) => {
      news.push(listener);
    },
  };
}
