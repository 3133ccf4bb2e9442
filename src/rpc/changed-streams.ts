/** Changed streams on their way to a watcher: the latest revision of each, bounded, with a bell. */
import type { Revision, StreamName, TimeMs } from "../core/shared/ids.ts";
import type { JournalTail, TailHearing } from "../engine/journal-tail.ts";
import type { Clock } from "../engine/ports.ts";

/** What one watcher still has to be told. */
export interface ChangedStreams {
  /** Begins to listen; resolves with the time from which on everything is heard. */
  readonly open: () => Promise<TimeMs>;
  /** The streams that changed since the last time, and up to when that is everything. */
  readonly take: () => {
    readonly changed: ReadonlyMap<StreamName, Revision>;
    readonly until: TimeMs;
  };
  /** Resolves when something changes, a signal aborts, or after a while. */
  readonly arrival: (waitMs: number) => Promise<void>;
  /** True once the watcher is too far behind; nothing is kept any more. */
  readonly isOverflowed: () => boolean;
  readonly close: () => void;
}

/** What the changed streams of a watcher work with. */
export interface ChangedStreamsOptions {
  readonly tail: JournalTail;
  readonly clock: Pick<Clock, "after">;
  /** False for what is of no interest, and for what was told before: commits are met twice. */
  readonly accepts: (stream: StreamName, revision: Revision) => boolean;
  /** Streams that may wait. */
  readonly streamsMax: number;
  /** Ring the bell when they abort. */
  readonly signals: readonly AbortSignal[];
}

/** Makes the changed streams of one watcher. */
export function makeChangedStreams(options: ChangedStreamsOptions): ChangedStreams {
  const { tail, clock, accepts, streamsMax, signals } = options;
  let changed = new Map<StreamName, Revision>();
  let until: TimeMs = 0;
  let overflowed = false;
  let closed = false;
  let hearing: TailHearing | undefined;
  let ring: () => void = () => undefined;
  const ringNow = (): void => ring();

  function note(stream: StreamName, revision: Revision): void {
    if (overflowed || !accepts(stream, revision)) return;
    if (!changed.has(stream) && changed.size >= streamsMax) {
      overflowed = true;
      changed = new Map();
    } else {
      changed.set(stream, Math.max(revision, changed.get(stream) ?? 0));
    }
  }

  for (const signal of signals) signal.addEventListener("abort", ringNow);

  return {
    open: async () => {
      hearing = await tail.listen({
        met: (points) => {
          for (const { stream, revision } of points) note(stream, revision);
          if (overflowed || changed.size > 0) ringNow();
        },
        completed: (time) => {
          until = time;
        },
      });
      if (closed) hearing.stop();
      until = hearing.from;
      return hearing.from;
    },
    take: () => {
      const taken = changed;
      changed = new Map();
      return { changed: taken, until };
    },
    arrival: (waitMs) => {
      const isRung = overflowed || changed.size > 0 || signals.some((signal) => signal.aborted);
      if (isRung) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      const cancelTimer = clock.after(waitMs, resolve);
      ring = () => {
        cancelTimer();
        resolve();
      };
      return promise;
    },
    isOverflowed: () => overflowed,
    close: () => {
      closed = true;
      hearing?.stop();
      for (const signal of signals) signal.removeEventListener("abort", ringNow);
    },
  };
}
