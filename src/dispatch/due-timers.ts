/**
 * Timers of streams: a local one for each stream seen here, and a sweep of the views for the
 * others. The tick is an ordinary command, so it does not matter how many replicas send it.
 */
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import type { DatabaseTime } from "../engine/database-time.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Clock, ViewStore } from "../engine/ports.ts";

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
  readonly time: DatabaseTime;
  readonly observer: EngineObserver;
  readonly tick: (stream: StreamName) => Promise<void>;
}

/** Makes the timers of a process. */
export function makeDueTimers(options: DueTimersOptions): DueTimers {
  const { views, clock, time, observer } = options;
  const due = new Map<StreamName, TimeMs>();
  let stopped = false;

  function tick(stream: StreamName): void {
    options.tick(stream).catch((error: unknown) => {
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
      for (const row of await views.due(nowMs - SWEEP_LATE_MS, SWEEP_ROWS)) tick(row.stream);
    } catch (error) {
      observer.backgroundFailed("sweep of timers", error);
    }
    schedule();
  }

  function schedule(): void {
    if (!stopped) clock.after(SWEEP_MS, () => void sweep());
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
