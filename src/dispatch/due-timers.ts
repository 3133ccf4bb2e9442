/**
 * Timers of streams of every kind: a local one for each stream seen here, and a sweep of the views
 * for the others. Ticks are idempotent, so it does not matter how many replicas give them. A kind
 * with a grace is not ticked while this server or the database were disturbed lately: a deadline
 * that passed meanwhile is nobody's fault.
 */
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import type { DatabaseTime } from "../engine/database-time.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Clock, StreamRow, ViewStore } from "../engine/ports.ts";
import { parseStreamName } from "../engine/stream-name.ts";

const SWEEP_MS = 1000;
const SWEEP_ROWS = 500;
/** The replica that saw the commit has the first go. */
const SWEEP_LATE_MS = 2000;

/** Ticks streams when they are due. */
export interface DueTimers {
  /** Takes note of when a stream wants its next tick. */
  readonly set: (stream: StreamName, dueAt: TimeMs | undefined) => void;
  readonly start: () => void;
  readonly stop: () => void;
}

/** What is done to streams of one kind when they are due. */
export interface TimedKind {
  /** How long nothing must have disturbed this server and its database; 0 when it is all one. */
  readonly graceMs: number;
  /** Ticks a stream; `row` is where its timer was found, if that was in the views. */
  readonly tick: (stream: StreamName, row?: StreamRow) => Promise<void>;
}

/** What the timers work with. */
export interface DueTimersOptions {
  readonly views: Pick<ViewStore, "due">;
  readonly clock: Clock;
  readonly time: Pick<DatabaseTime, "nowMs">;
  readonly observer: EngineObserver;
  /** For how long nothing disturbed this server and its database. */
  readonly steadyForMs: () => number;
  /** By kind of stream; others are left alone. */
  readonly kinds: ReadonlyMap<string, TimedKind>;
}

/** Makes the timers of a process. */
export function makeDueTimers(options: DueTimersOptions): DueTimers {
  const { views, clock, time, observer } = options;
  const due = new Map<StreamName, TimeMs>();
  let stopped = false;

  function kindOf(stream: StreamName): TimedKind | undefined {
    return options.kinds.get(parseStreamName(stream)?.kind ?? "");
  }

  /** Whether everything was steady for as long as the kind wants it. */
  function isSteadyFor(kind: TimedKind | undefined): boolean {
    return kind === undefined || kind.graceMs === 0 || options.steadyForMs() >= kind.graceMs;
  }

  function tick(stream: StreamName, row?: StreamRow): void {
    kindOf(stream)
      ?.tick(stream, row)
      .catch((error: unknown) => {
        observer.backgroundFailed("timer", error);
      });
  }

  async function sweep(): Promise<void> {
    const nowMs = time.nowMs();
    for (const [stream, dueAt] of due) {
      if (dueAt > nowMs || !isSteadyFor(kindOf(stream))) continue;
      due.delete(stream);
      tick(stream);
    }
    try {
      const rows = await views.due(nowMs - SWEEP_LATE_MS, SWEEP_ROWS);
      // Asked after the read: that itself may have taken as long as an outage lasts.
      for (const row of rows) if (isSteadyFor(kindOf(row.stream))) tick(row.stream, row);
    } catch (error) {
      observer.backgroundFailed("sweep of timers", error);
    }
  }

  async function wake(): Promise<void> {
    if (stopped) return;
    await sweep();
    schedule();
  }

  function schedule(): void {
    clock.after(SWEEP_MS, () => void wake());
  }

  return {
    set: (stream, dueAt) => {
      if (dueAt === undefined) due.delete(stream);
      else due.set(stream, dueAt);
    },
    start: schedule,
    stop: () => {
      stopped = true;
    },
  };
}
