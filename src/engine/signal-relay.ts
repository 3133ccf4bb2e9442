/**
 * Hints between replicas: after each acknowledged batch the others hear which streams moved, and
 * catch up those that somebody here listens to. A lost hint costs time only: a slow poll covers it.
 */
import type { StreamName } from "../core/shared/ids.ts";
import type { EngineObserver } from "./observer.ts";
import type { Clock, LeaseAttachment, SignalStore, StoredCommit, StreamPoint } from "./ports.ts";
import { shardOf } from "./stream-name.ts";

const POLL_MS = 1000;
const SHARDS_MAX = 2000;

/** Sends and hears hints. */
export interface SignalRelay {
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Tells the others about stored commits, many in one signal. */
  readonly tell: (commits: readonly StoredCommit[]) => void;
  /** Tells the others that a stream has work for an executor, by an acknowledged commit. */
  readonly tellRunnable: (point: StreamPoint) => void;
  /** Tells the others that a stream attached here. */
  readonly tellAttached: (lease: LeaseAttachment) => void;
}

/** What the relay works with. */
export interface SignalRelayOptions {
  readonly signals: SignalStore;
  readonly clock: Clock;
  readonly observer: EngineObserver;
  readonly replicaId: string;
  /** Nothing is sent while nobody else lives. */
  readonly hasOthers: () => boolean;
  /** A stream with this shard moved elsewhere. */
  readonly onMoved: (shard: string) => void;
  /** Every stream that is listened to may have moved. */
  readonly onMaybeMoved: () => void;
  readonly onRunnable: (points: readonly StreamPoint[]) => void;
  readonly onAttached: (lease: LeaseAttachment) => void;
}

/** Makes the relay of a process. */
export function makeSignalRelay(options: SignalRelayOptions): SignalRelay {
  const { signals, clock, observer, replicaId } = options;
  let shards = new Set<string>();
  let runnable = new Map<StreamName, StreamPoint>();
  let attached: LeaseAttachment[] = [];
  let scheduled = false;
  let stopped = false;
  let hadOthers = false;
  let subscription: { readonly close: () => Promise<void> } | null = null;

  function publish(): void {
    scheduled = false;
    const signal = { replicaId, shards: [...shards], runnable: [...runnable.values()], attached };
    shards = new Set();
    runnable = new Map();
    attached = [];
    signals.publish(signal).catch((error: unknown) => {
      observer.backgroundFailed("signal", error);
    });
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(publish);
  }

  function poll(): void {
    if (stopped) return;
    // Once more after the others are gone: their last hints may be lost.
    const others = options.hasOthers();
    if (others || hadOthers) options.onMaybeMoved();
    hadOthers = others;
    clock.after(POLL_MS, poll);
  }

  async function start(): Promise<void> {
    subscription = await signals.subscribe(
      replicaId,
      (signal) => {
        for (const shard of signal.shards) options.onMoved(shard);
        if (signal.runnable.length > 0) options.onRunnable(signal.runnable);
        for (const lease of signal.attached) options.onAttached(lease);
      },
      options.onMaybeMoved,
    );
    clock.after(POLL_MS, poll);
  }

  return {
    start,
    stop: async () => {
      stopped = true;
      await subscription?.close();
    },
    tell: (commits) => {
      if (!options.hasOthers()) return;
      for (const commit of commits) {
        if (shards.size < SHARDS_MAX) shards.add(shardOf(commit.stream));
      }
      schedule();
    },
    tellRunnable: (point) => {
      if (!options.hasOthers()) return;
      runnable.set(point.stream, point);
      schedule();
    },
    tellAttached: ({ holder, attachments }) => {
      if (!options.hasOthers()) return;
      attached.push({ holder, attachments });
      schedule();
    },
  };
}
