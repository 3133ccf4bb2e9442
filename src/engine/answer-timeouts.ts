/**
 * Answers calls whose commit takes too long. A command that waits is taken back: nothing was done.
 * One in flight is answered as unknown; the engine goes on until its outcome is certain.
 */
import { type Refusal, refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { ActiveEntry } from "./committer.ts";
import type { Clock } from "./ports.ts";

const SWEEP_MS = 250;
const RETRY_AFTER_MS = 1000;

function unavailable(stream: string): Refusal {
  return {
    ...refusalOf(
      "DATABASE_UNAVAILABLE",
      "The database does not answer in time; sending the call again is safe",
      { stream },
    ),
    retryAfterMs: RETRY_AFTER_MS,
  };
}

function unknown(stream: string): Refusal {
  return refusalOf(
    "OUTCOME_UNKNOWN",
    "The database did not answer in time; the call may still take effect: read, then repeat",
    { stream },
  );
}

/** The entries with work, watched for calls that wait too long. */
export interface AnswerTimeouts {
  readonly watch: (entry: ActiveEntry, active: boolean) => void;
  /** True while no stream has work. */
  readonly isIdle: () => boolean;
  /** Answers all calls that still wait. */
  readonly stop: () => void;
}

/** Watches active entries; calls are answered after `answerTimeoutMs`. */
export function makeAnswerTimeouts(clock: Clock, answerTimeoutMs: number): AnswerTimeouts {
  const active = new Set<ActiveEntry>();
  let stopped = false;

  function sweepEntry(entry: ActiveEntry, dueMs: number): void {
    for (const command of entry.pending) {
      if (command.enqueuedMs > dueMs) return;
      if (command.status === "settled") continue;
      const isSafe = command.status === "waiting" || command.envelope.retrySafe === true;
      command.status = "settled";
      command.reject(new RefusedError(isSafe ? unavailable(entry.stream) : unknown(entry.stream)));
    }
  }

  function sweep(): void {
    const dueMs = clock.monotonicMs() - answerTimeoutMs;
    for (const entry of active) sweepEntry(entry, dueMs);
    if (!stopped) clock.after(SWEEP_MS, sweep);
  }

  clock.after(SWEEP_MS, sweep);
  return {
    watch: (entry, isActive) => {
      if (isActive) active.add(entry);
      else active.delete(entry);
    },
    isIdle: () => active.size === 0,
    stop: () => {
      stopped = true;
      for (const entry of active) sweepEntry(entry, Number.POSITIVE_INFINITY);
    },
  };
}
