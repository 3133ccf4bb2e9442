/**
 * Drives work that the state of a stream leaves to be done on other streams. The streams say what
 * is open; a driver only makes sure that it is done: at once after the commit that opened it, one
 * drive per stream at a time, and again when more was opened meanwhile. What a crash cuts short is
 * found again by the timer of the stream, at any replica: every step may be done twice.
 */
import type { StreamName } from "../core/shared/ids.ts";
import type { EngineObserver } from "../engine/observer.ts";

/** Drives the open work of streams. */
export interface WorkDriver {
  /**
   * Resolves when a drive that began after the call is over; rejects with what kept it from doing
   * everything.
   */
  readonly settle: (stream: StreamName) => Promise<void>;
  /** The same in the background; what goes wrong is logged and found again by the timer. */
  readonly kick: (stream: StreamName) => void;
}

/** What a driver is made of. */
export interface WorkDriverOptions {
  /** What it is doing, for the log. */
  readonly task: string;
  readonly observer: EngineObserver;
  /** Does what is open; reads the stream itself. */
  readonly drive: (stream: StreamName) => Promise<void>;
}

/** Streams that one driver works on at the same time; the others wait their turn. */
const DRIVES_MAX = 64;

/** The drives of one stream. */
interface Lane {
  /** Those who wait for the drive after the present one; null when nobody does. */
  next: PromiseWithResolvers<void> | null;
}

/** Makes a driver. */
export function makeWorkDriver(options: WorkDriverOptions): WorkDriver {
  const { task, observer, drive } = options;
  const lanes = new Map<StreamName, Lane>();
  const waiting: (() => void)[] = [];
  let running = 0;

  async function takeTurn(): Promise<void> {
    if (running < DRIVES_MAX) running += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
  }

  /** Hands the turn on, or gives it back. */
  function endTurn(): void {
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  }

  async function run(stream: StreamName, lane: Lane): Promise<void> {
    while (lane.next) {
      await takeTurn();
      const { resolve, reject } = lane.next;
      lane.next = null;
      await drive(stream).then(resolve, reject);
      endTurn();
    }
    lanes.delete(stream);
  }

  function settle(stream: StreamName): Promise<void> {
    const lane = lanes.get(stream);
    if (lane) return (lane.next ??= Promise.withResolvers<void>()).promise;
    const next = Promise.withResolvers<void>();
    const started: Lane = { next };
    lanes.set(stream, started);
    void run(stream, started);
    return next.promise;
  }

  return {
    settle,
    kick: (stream) => {
      settle(stream).catch((error: unknown) => observer.backgroundFailed(task, error));
    },
  };
}

/** Waits for work; what kept it from being done is answered, not thrown. */
export async function failureOf(work: Promise<unknown>): Promise<Error | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
