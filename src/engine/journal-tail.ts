/**
 * Follows the end of the journal for all who want to hear of every commit of every replica.
 *
 * T1  Every commit with a time before the tail's `completeUntil` was told to all who listened when
 *     it was reached: it goes by the low watermark of the replicas, behind which nothing lands.
 * T2  A commit that lands while somebody listens is told at least once, and soon: first when it is
 *     met, again behind the watermark of the live replicas, and again behind that of all. A replica
 *     that died holds up the last one for long, and nothing else.
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
  /**
   * What lands from now on is told; what landed before is in the journal, and perhaps told.
   * Everything with an earlier time has landed.
   */
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
  readonly membership: Pick<Membership, "lowWatermark" | "liveWatermark">;
  readonly observer: Pick<EngineObserver, "backgroundFailed">;
}

/** Makes the tail of a process. */
export function makeJournalTail(options: JournalTailOptions): JournalTail {
  const { journal, clock, membership, observer } = options;
  const listeners = new Set<TailListener>();
  /** Everything before this time was told. */
  let completeUntil: TimeMs = 0;
  /** Everything before this time was told, but for what replicas that stand still may land. */
  let settledUntil: TimeMs = 0;
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
    for await (const points of walkJournal(journal, { since: settledUntil, after: met })) {
      tell(points);
      met = points.at(-1) ?? met;
    }
  }

  /** Tells again what lies between two times: some of it may have landed behind what was met. */
  async function tellAgain(since: TimeMs, until: TimeMs): Promise<void> {
    for await (const points of walkJournal(journal, { since })) {
      const settled = points.filter((point) => point.at < until);
      tell(settled);
      if (settled.length < points.length) break;
    }
  }

  async function complete(until: TimeMs): Promise<void> {
    await tellAgain(completeUntil, until);
    completeUntil = until;
    settledUntil = Math.max(settledUntil, until);
    for (const listener of listeners) listener.completed(until);
  }

  async function settle(until: TimeMs): Promise<void> {
    await tellAgain(settledUntil, until);
    settledUntil = until;
  }

  async function look(): Promise<void> {
    try {
      // Read first: what they promise must be in the journal before the walk begins.
      const until = membership.lowWatermark();
      const settled = membership.liveWatermark();
      await meetNew();
      if (until > completeUntil) await complete(until);
      if (settled > settledUntil) await settle(settled);
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
        settledUntil = Math.max(completeUntil, membership.liveWatermark());
        met = undefined;
      }
      listeners.add(listener);
      if (!running) schedule();
      return { from: completeUntil, stop: () => void listeners.delete(listener) };
    },
  };
}
