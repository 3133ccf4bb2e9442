// Gives the engine the waiting of a real server: `getMore` on a tailable cursor with awaitData is
// answered when there is something new, or when its `maxTimeMS` is over.
//
// Inside one process the engine answers such a `getMore` at once, usually with nothing, and drivers
// would ask again without pause. Every write passes through this process, so waiting is exact here:
// an empty answer is held back until an `insert` into that collection was answered, then the engine
// is asked again.
import {
  type AwaitedInsert,
  awaitedData,
  commandName,
  insertNamespace,
  isEmptyOpenBatch,
  type WireAnswer,
} from "./wire-messages.ts";

/** A database engine: one answer per message. */
export interface WireEngine {
  roundTrip(message: Buffer): Promise<WireAnswer>;
}

/** An engine that may hold an answer back until `signal` says that nobody waits for it any more. */
export interface AwaitingEngine {
  roundTrip(message: Buffer, signal: AbortSignal): Promise<WireAnswer>;
}

/** Puts the waiting in front of an engine. */
export function makeAwaitingEngine(engine: WireEngine): AwaitingEngine {
  const wakersByNamespace = new Map<string, Set<() => void>>();

  function watch(namespace: string, wake: () => void): () => void {
    const wakers = wakersByNamespace.get(namespace) ?? new Set();
    wakersByNamespace.set(namespace, wakers.add(wake));
    return () => {
      wakers.delete(wake);
      if (wakers.size === 0 && wakersByNamespace.get(namespace) === wakers) {
        wakersByNamespace.delete(namespace);
      }
    };
  }

  function wakeAll(namespace: string): void {
    for (const wake of wakersByNamespace.get(namespace) ?? []) {
      wake();
    }
  }

  async function awaitAnswer(
    message: Buffer,
    awaited: AwaitedInsert,
    signal: AbortSignal,
  ): Promise<WireAnswer> {
    const deadlineMs = performance.now() + awaited.maxTimeMs;
    for (;;) {
      const woken = Promise.withResolvers<void>();
      // Watched before the engine is asked, so that no insert falls between question and wait.
      const unwatch = watch(awaited.namespace, woken.resolve);
      try {
        const answer = await engine.roundTrip(message);
        const leftMs = deadlineMs - performance.now();
        if (signal.aborted || leftMs <= 0 || !isEmptyOpenBatch(answer.response)) {
          return answer;
        }
        if (!(await endOfWait(woken, leftMs, signal))) {
          return answer;
        }
      } finally {
        unwatch();
      }
    }
  }

  return {
    async roundTrip(message, signal) {
      const name = commandName(message);
      if (name === "getMore") {
        const awaited = awaitedData(message);
        return awaited === undefined
          ? engine.roundTrip(message)
          : awaitAnswer(message, awaited, signal);
      }
      const answer = await engine.roundTrip(message);
      if (name === "insert" && wakersByNamespace.size > 0) {
        wakeAll(insertNamespace(message) ?? "");
      }
      return answer;
    },
  };
}

/** Ends when woken or when the time is over; false when nobody waits for the answer any more. */
async function endOfWait(
  woken: PromiseWithResolvers<void>,
  leftMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const wake = () => woken.resolve();
  const timer = setTimeout(wake, leftMs);
  signal.addEventListener("abort", wake);
  await woken.promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", wake);
  return !signal.aborted;
}
