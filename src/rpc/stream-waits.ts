/**
 * Who waits for what in which stream. One listener per stream serves any number of waiters, and a
 * commit costs what it touches, not what waits.
 *
 * W1  An outcome is never missed: a waiter is registered before the fold is looked at.
 * W2  Whoever waits is answered: by the outcome, the time, the caller's leaving or the drain.
 */
import type { StreamName } from "../core/shared/ids.ts";
import type { Clock } from "../engine/ports.ts";
import type { FoldedCommit } from "../engine/stream-fold.ts";
import { abortReasonOf } from "./errors.ts";

/** How long and for whom to wait. */
export interface WaitTerms {
  readonly timeoutMs: number;
  /** Aborts when the caller is gone; the wait then rejects with its reason. */
  readonly signal: AbortSignal;
}

/** One wait: what for, and how the present is looked at. */
export interface Wait<Topic, Outcome> {
  readonly stream: StreamName;
  readonly topic: Topic;
  /** Further topics that the wait is about; each once. */
  readonly alsoTopics?: readonly Topic[];
  readonly terms: WaitTerms;
  /** The outcome as it stands; undefined while there is none. */
  readonly present: () => Promise<Outcome | undefined>;
  /** Whether an outcome that is told is the one that is waited for. Any when absent. */
  readonly accepts?: (outcome: Outcome) => boolean;
}

/** Tells waiters of a stream what a commit brought. */
export interface Telling<Topic, Outcome> {
  readonly isAwaited: (topic: Topic) => boolean;
  readonly tell: (topic: Topic, outcome: Outcome) => void;
  /** Ends every wait on the stream. */
  readonly tellAll: (outcome: Outcome) => void;
}

/** The waits of a process on the streams of one aggregate. */
export interface StreamWaits<Topic, Outcome> {
  /** The outcome; undefined when the time is up or the server goes down. */
  readonly wait: (wait: Wait<Topic, Outcome>) => Promise<Outcome | undefined>;
  readonly count: () => number;
}

/** What the waits work with. */
export interface StreamWaitsOptions<State, Event, Topic, Outcome> {
  readonly streams: {
    readonly listen: (
      stream: StreamName,
      listener: (commit: FoldedCommit<State, Event>) => void,
    ) => () => void;
  };
  readonly clock: Pick<Clock, "after">;
  readonly drainSignal: AbortSignal;
  /** Says what a commit brought to those who wait. */
  readonly hear: (
    stream: StreamName,
    commit: FoldedCommit<State, Event>,
    telling: Telling<Topic, Outcome>,
  ) => void;
}

/** Ends a wait; `undefined` when there is nothing to tell. */
type Tell<Outcome> = (outcome: Outcome | undefined) => void;

/** Everybody who waits on one stream. */
interface WaitRoom<Topic, Outcome> {
  readonly waiters: Map<Topic, Set<Tell<Outcome>>>;
  readonly stopListening: () => void;
}

function tellEach<Outcome>(tells: Iterable<Tell<Outcome>>, outcome: Outcome | undefined): void {
  for (const tell of tells) tell(outcome);
}

function tellingOf<Topic, Outcome>(
  waiters: ReadonlyMap<Topic, ReadonlySet<Tell<Outcome>>>,
): Telling<Topic, Outcome> {
  return {
    isAwaited: (topic) => waiters.has(topic),
    tell: (topic, outcome) => tellEach(waiters.get(topic) ?? [], outcome),
    tellAll: (outcome) => {
      for (const tells of waiters.values()) tellEach(tells, outcome);
    },
  };
}

/** Makes the waits of a process. */
export function makeStreamWaits<State, Event, Topic, Outcome>(
  options: StreamWaitsOptions<State, Event, Topic, Outcome>,
): StreamWaits<Topic, Outcome> {
  const { streams, clock, drainSignal, hear } = options;
  const rooms = new Map<StreamName, WaitRoom<Topic, Outcome>>();
  let waiting = 0;

  function openRoom(stream: StreamName): WaitRoom<Topic, Outcome> {
    const waiters: WaitRoom<Topic, Outcome>["waiters"] = new Map();
    const telling = tellingOf(waiters);
    const stopListening = streams.listen(stream, (commit) => hear(stream, commit, telling));
    const room = { waiters, stopListening };
    rooms.set(stream, room);
    return room;
  }

  function enter(stream: StreamName, topics: readonly Topic[], tell: Tell<Outcome>): () => void {
    const room = rooms.get(stream) ?? openRoom(stream);
    for (const topic of topics) {
      const tells = room.waiters.get(topic) ?? new Set();
      room.waiters.set(topic, tells.add(tell));
    }
    waiting += 1;
    return () => {
      waiting -= 1;
      for (const topic of topics) {
        const tells = room.waiters.get(topic);
        tells?.delete(tell);
        if (tells?.size === 0) room.waiters.delete(topic);
      }
      if (room.waiters.size > 0) return;
      rooms.delete(stream);
      room.stopListening();
    };
  }

  /** Resolves with the first thing that ends a wait; `undefined` for the time and the drain. */
  function firstEnd(wait: Wait<Topic, Outcome>): {
    readonly ended: Promise<Outcome | undefined>;
    readonly leave: () => void;
  } {
    const { stream, topic, alsoTopics = [], terms, accepts } = wait;
    const { promise, resolve, reject } = Promise.withResolvers<Outcome | undefined>();
    const abort = (): void => reject(abortReasonOf(terms.signal));
    const giveUp = (): void => resolve(undefined);
    const exit = enter(stream, [topic, ...alsoTopics], (outcome) => {
      if (outcome === undefined || accepts === undefined || accepts(outcome)) resolve(outcome);
    });
    const cancelTimer = clock.after(terms.timeoutMs, giveUp);
    terms.signal.addEventListener("abort", abort, { once: true });
    if (terms.signal.aborted) abort();
    if (drainSignal.aborted || terms.timeoutMs <= 0) giveUp();
    const leave = (): void => {
      exit();
      cancelTimer();
      terms.signal.removeEventListener("abort", abort);
    };
    return { ended: promise, leave };
  }

  drainSignal.addEventListener("abort", () => {
    for (const room of rooms.values()) {
      for (const tells of room.waiters.values()) tellEach(tells, undefined);
    }
  });

  return {
    wait: async (wait) => {
      const { ended, leave } = firstEnd(wait);
      // The promise may reject while the present is being looked at; it is awaited right after.
      ended.catch(() => undefined);
      try {
        return (await wait.present()) ?? (await ended);
      } finally {
        leave();
      }
    },
    count: () => waiting,
  };
}
