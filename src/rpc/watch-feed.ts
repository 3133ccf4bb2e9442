/**
 * The commits of a stream on their way to one watcher: in order, with a bell, bounded by events and
 * by bytes, for the sizes of events lie far apart.
 */
import type { StreamName } from "../core/shared/ids.ts";
import type { Clock } from "../engine/ports.ts";
import type { FoldedCommit } from "../engine/stream-fold.ts";

/** What one watcher still has to be sent. */
export interface WatchFeed<State, Event> {
  /** The next commit; undefined while there is none. */
  readonly take: () => FoldedCommit<State, Event> | undefined;
  /** Resolves when something arrives, a signal aborts, or after a while. */
  readonly arrival: (waitMs: number) => Promise<void>;
  /** True once the watcher is too far behind; nothing is kept any more. */
  readonly isOverflowed: () => boolean;
  readonly close: () => void;
}

/** What a feed works with. */
export interface WatchFeedOptions<State, Event> {
  readonly streams: {
    readonly listen: (
      stream: StreamName,
      listener: (commit: FoldedCommit<State, Event>) => void,
    ) => () => void;
  };
  readonly stream: StreamName;
  readonly clock: Pick<Clock, "after">;
  /** Events that may wait; a single commit may hold more. */
  readonly bufferEventsMax: number;
  /** Characters of events as JSON that may wait; a single commit may hold more. */
  readonly bufferBytesMax: number;
  /** Ring the bell when they abort. */
  readonly signals: readonly AbortSignal[];
}

function bytesOf({ stored }: FoldedCommit<unknown, unknown>): number {
  return stored.eventsText.length;
}

/** Opens a feed: every commit from now on is in it. */
export function makeWatchFeed<State, Event>(
  options: WatchFeedOptions<State, Event>,
): WatchFeed<State, Event> {
  const { streams, stream, clock, bufferEventsMax, bufferBytesMax, signals } = options;
  let commits: FoldedCommit<State, Event>[] = [];
  let bufferedEvents = 0;
  let bufferedBytes = 0;
  let overflowed = false;
  let ring: () => void = () => undefined;
  const ringNow = (): void => ring();

  const stopListening = streams.listen(stream, (commit) => {
    if (overflowed) return;
    if (bufferedEvents >= bufferEventsMax || bufferedBytes >= bufferBytesMax) {
      overflowed = true;
      commits = [];
    } else {
      commits.push(commit);
      bufferedEvents += commit.events.length;
      bufferedBytes += bytesOf(commit);
    }
    ringNow();
  });
  for (const signal of signals) signal.addEventListener("abort", ringNow);

  return {
    take: () => {
      const commit = commits.shift();
      if (commit === undefined) return undefined;
      bufferedEvents -= commit.events.length;
      bufferedBytes -= bytesOf(commit);
      return commit;
    },
    arrival: (waitMs) => {
      const isRung = overflowed || commits.length > 0 || signals.some((signal) => signal.aborted);
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
      stopListening();
      for (const signal of signals) signal.removeEventListener("abort", ringNow);
    },
  };
}
