/** Waiting between tries: exponential, capped, with jitter, cancelled by a signal. */
import type { Clock, Entropy } from "./ports.ts";

/** Bounds of a backoff. */
export interface BackoffLimits {
  readonly initialMs: number;
  readonly maxMs: number;
}

/** Milliseconds before try `attempt` (from 1): half fixed, half jitter. */
export function backoffMs(limits: BackoffLimits, attempt: number, entropy: Entropy): number {
  const full = Math.min(limits.maxMs, limits.initialMs * 2 ** Math.min(attempt - 1, 30));
  return full / 2 + entropy.random() * (full / 2);
}

/** Resolves after a delay of the given clock. */
export function delay(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve);
  });
}
