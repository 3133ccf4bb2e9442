/**
 * The time that commits carry: the database's clock, carried forward by this process's monotonic
 * clock between synchronizations, so that a step of the own wall clock changes nothing.
 */
import type { TimeMs } from "../core/shared/ids.ts";
import type { Clock } from "./ports.ts";

const ERROR_MAX_MS = 1000;
/** Clocks of one machine room drift by less than this share of the time since the last look. */
const DRIFT_RATIO = 0.0005;

/** Corrected time. */
export interface DatabaseTime {
  readonly nowMs: () => TimeMs;
  /** Takes a reading of the database's clock that was asked for and answered at these moments. */
  readonly synchronize: (databaseMs: TimeMs, askedMs: number, answeredMs: number) => void;
  /** Bound of the error now; infinite before the first reading. */
  readonly errorMs: () => number;
  /** True while the error is small enough to serve. */
  readonly isTrusted: () => boolean;
}

/** Makes the time of a process; moments are of `clock.monotonicMs`. */
export function makeDatabaseTime(clock: Clock): DatabaseTime {
  let base: {
    readonly databaseMs: TimeMs;
    readonly atMs: number;
    readonly errorMs: number;
  } | null = null;
  let latestMs = 0;

  function errorMs(): number {
    if (!base) return Number.POSITIVE_INFINITY;
    return base.errorMs + (clock.monotonicMs() - base.atMs) * DRIFT_RATIO;
  }

  function synchronize(databaseMs: TimeMs, askedMs: number, answeredMs: number): void {
    const readingErrorMs = (answeredMs - askedMs) / 2;
    if (base && readingErrorMs > Math.max(errorMs(), 5) && errorMs() < ERROR_MAX_MS) return;
    base = { databaseMs, atMs: (askedMs + answeredMs) / 2, errorMs: readingErrorMs };
  }

  function nowMs(): TimeMs {
    // Until the database was asked, the own clock is a guess that must not bind later answers.
    if (!base) return clock.nowMs();
    latestMs = Math.max(latestMs, Math.round(base.databaseMs + (clock.monotonicMs() - base.atMs)));
    return latestMs;
  }

  return { nowMs, synchronize, errorMs, isTrusted: () => errorMs() <= ERROR_MAX_MS };
}
