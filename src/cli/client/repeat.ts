/** Pauses, growing waits, and calls that are repeated until somebody answers. */
import { setTimeout as wait } from "node:timers/promises";
import { type Failure, failureOf, isPassing } from "./failure.ts";

const WAIT_FIRST_MS = 100;
const WAIT_MOST_MS = 5_000;

/** Waits that double from try to try, with jitter: many clients do not come back at once. */
export interface Backoff {
  /** How long to wait before the next try, in milliseconds. */
  readonly nextMs: () => number;
  /** Begins again at the first wait. */
  readonly reset: () => void;
}

/** Makes a backoff. */
export function makeBackoff(mostMs: number = WAIT_MOST_MS): Backoff {
  let spanMs = WAIT_FIRST_MS;
  return {
    nextMs: () => {
      const waitMs = spanMs * (0.5 + Math.random() / 2);
      spanMs = Math.min(mostMs, spanMs * 2);
      return waitMs;
    },
    reset: () => {
      spanMs = WAIT_FIRST_MS;
    },
  };
}

/** Resolves after a span, or at once when the signal fires. */
export async function pause(spanMs: number, signal: AbortSignal): Promise<void> {
  await wait(spanMs, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

/** On what terms a call is repeated. */
export interface RepeatTerms {
  /** Ends the repetition: the last error is thrown. */
  readonly signal: AbortSignal;
  /** Which failures pass; those that the server says so about unless given. */
  readonly isPassing?: (failure: Failure) => boolean;
  /** Told of every failure that is followed by another try. */
  readonly onRepeat?: (failure: Failure) => void;
}

/** Repeats a call, which must be safe to repeat, until it is answered or refused for good. */
export async function untilAnswered<Answer>(
  call: () => Promise<Answer>,
  terms: RepeatTerms,
): Promise<Answer> {
  const passes = terms.isPassing ?? isPassing;
  const backoff = makeBackoff();
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const failure = failureOf(error);
      if (terms.signal.aborted || !passes(failure)) throw error;
      terms.onRepeat?.(failure);
      await pause(Math.max(failure.retryAfterMs ?? 0, backoff.nextMs()), terms.signal);
    }
  }
}
