/**
 * Follows the end of the journal for all who want to hear of every commit of every replica.
 *
 * T1  Every commit with a time before the tail's `completeUntil` was told to all who listened when
 *     it was reached: it goes by the low watermark of the replicas, behind which nothing lands.
 * T2  A commit is told at least once, and soon: first when it is met, again behind the watermark.
 * T3  While nobody listens nothing is read.
 */
import type { TimeMs } from "../core/shared/ids.ts";
import { walkJournal } from "./journal-walk.ts";
import type { Membership } from "./membership.ts";
import type { EngineObserver } from "./observer.ts";
import type { Clock, JournalStore, TimedPoint } from "./ports.ts";

const LOOK_MS = 100;

/** Hears of commits. */
export interface TailListener {
  /** Commits were met, some perhaps again. */
  readonly met: (points: readonly TimedPoint[]) => void;
  /** Everything with an earlier time was told. */
  readonly completed: (until: TimeMs) => void;
}

/** A listener in its place. */
export interface TailHearing {
  /** Commits from this time on are told; those before it are all in the journal. */
  readonly from: TimeMs;
  readonly stop: () => void;
}

/** The end of the journal. */
export interface JournalTail {
  /** Begins to tell a listener; resolves when it is sure where that begins. */
  readonly listen: (listener: TailListener) => Promise<TailHearing>;
}

/** What the tail works with. */
export interface JournalTailOptions {
  readonly journal: Pick<JournalStore, "pointsSince">;
  readonly clock: Pick<Clock, "after">;
  readonly membership: Pick<Membership, "lowWatermark">;
  readonly observer: Pick<EngineObserver, "backgroundFailed">;
}

/** Makes the tail of a process. */
export function makeJournalTail(options: JournalTailOptions): JournalTail {
  const { journal, clock, membership, observer } = options;
  const listeners = new Set<TailListener>();
  /** Everything before this time was told. */
  let completeUntil: TimeMs = 0;
  /** The last commit that was met; later ones were not told yet. */
  let met: TimedPoint | undefined;
  /** Ends when the look in progress has ended. */
  let looking: Promise<void> = Promise.resolve();
  let running = false;

  function tell(points: readonly TimedPoint[]): void {
    if (points.length === 0) return;
    for (const listener of listeners) listener.met(points);
  }

  async function meetNew(): Promise<void> {
    for await (const points of walkJournal(journal, { since: completeUntil, after: met })) {
      tell(points);
      met = points.at(-1) ?? met;
    }
  }

  async function complete(until: TimeMs): Promise<void> {
    for await (const points of walkJournal(journal, { since: completeUntil })) {
      const settled = points.filter((point) => point.at < until);
      tell(settled);
      if (settled.length < points.length) break;
    }
    completeUntil = until;
    for (const listener of listeners) listener.completed(until);
  }

  async function look(): Promise<void> {
    try {
      // Read first: what it promises must be in the journal before the walk begins.
      const until = membership.lowWatermark();
      await meetNew();
      if (until > completeUntil) await complete(until);
    } catch (error) {
      observer.backgroundFailed("look at the end of the journal", error);
    }
  }

  function schedule(): void {
    running = listeners.size > 0;
    if (!running) return;
    clock.after(LOOK_MS, () => {
      looking = look();
      void looking.then(schedule);
    });
  }

  return {
    listen: async (listener) => {
      // A look in progress has told the others of commits already that this one never heard of.
      await looking;
      if (!running) {
        completeUntil = membership.lowWatermark();
        met = undefined;
      }
      listeners.add(listener);
      if (!running) schedule();
      return { from: completeUntil, stop: () => void listeners.delete(listener) };
    },
  };
}
