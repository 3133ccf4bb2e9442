/**
 * Timers of streams: a local one for each stream seen here, and a sweep of the views for the
 * others. The tick is an ordinary command, so it does not matter how many replicas send it. Nothing
 * is ticked while the process or the database were disturbed lately: a deadline that passed
 * meanwhile is nobody's fault.
 */
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import type { DatabaseTime } from "../engine/database-time.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Clock, StreamRow, ViewStore } from "../engine/ports.ts";

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

/** What the timers work with. */
export interface DueTimersOptions {
  readonly views: Pick<ViewStore, "due">;
  readonly clock: Clock;
  readonly time: Pick<DatabaseTime, "nowMs">;
  readonly observer: EngineObserver;
  /** For how long nothing disturbed this process and its database. */
  readonly steadyForMs: () => number;
  /** How long it must have been steady for timers to count. */
  readonly graceMs: number;
  /** Ticks a stream; `row` is where its timer was found, if that was in the views. */
  readonly tick: (stream: StreamName, row?: StreamRow) => Promise<void>;
}

/** Makes the timers of a process. */
export function makeDueTimers(options: DueTimersOptions): DueTimers {
  const { views, clock, time, observer } = options;
  const due = new Map<StreamName, TimeMs>();
  let stopped = false;

  function tick(stream: StreamName, row?: StreamRow): void {
    options.tick(stream, row).catch((error: unknown) => {
      observer.backgroundFailed("timer", error);
    });
  }

  async function sweep(): Promise<void> {
    const nowMs = time.nowMs();
    for (const [stream, dueAt] of due) {
      if (dueAt > nowMs) continue;
      due.delete(stream);
      tick(stream);
    }
    try {
      const rows = await views.due(nowMs - SWEEP_LATE_MS, SWEEP_ROWS);
      // Asked again: the read itself may have taken as long as an outage lasts.
      if (options.steadyForMs() >= options.graceMs) for (const row of rows) tick(row.stream, row);
    } catch (error) {
      observer.backgroundFailed("sweep of timers", error);
    }
  }

  async function wake(): Promise<void> {
    if (stopped) return;
    if (options.steadyForMs() >= options.graceMs) await sweep();
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
