/**
 * Makes known what landed late. While a replica stands still for long, the others count it as gone
 * and tell watches that nothing before a later time lands any more. What it had decided before, or
 * sends on waking up, may land nevertheless: behind what was told. So the replica that learns that
 * a commit of its own landed so affirms it: the stream gets one commit more, with a time of which
 * nobody was told yet. It is sent once the replica is among the others again, so that it cannot be
 * late itself.
 */
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Clock } from "../engine/ports.ts";
import { flowEnvelope } from "./flow-streams.ts";

/** What the flow works with. */
export interface LateFlowOptions {
  readonly processes: Pick<ProcessStreams, "submit">;
  /** For how long no other replica can have counted this one as gone; 0 while one may. */
  readonly presentForMs: () => number;
  readonly nowMs: () => TimeMs;
  readonly clock: Pick<Clock, "after">;
  readonly observer: Pick<EngineObserver, "backgroundFailed">;
}

/** Takes notes of late commits, and affirms them. */
export interface LateFlow {
  /** To be called for every own commit, with its time, once it has landed. */
  readonly landed: (stream: StreamName, at: TimeMs) => void;
  readonly stop: () => void;
}

/** How long to wait for the next try, and how many there are. */
const RETRY = { afterMs: 1000, triesMax: 600 } as const;
/** Times of commits and of heartbeats come from clocks that agree to within a second. */
const SLACK_MS = 1000;

/** Makes the flow. */
export function makeLateFlow(options: LateFlowOptions): LateFlow {
  const { processes, presentForMs, nowMs, clock, observer } = options;
  /** What is to be affirmed, and how often that was tried. */
  const late = new Map<StreamName, number>();
  let isWaiting = false;
  let stopped = false;

  async function affirm(stream: StreamName, tries: number): Promise<void> {
    // The affirmation may be late itself, and is noted again then.
    late.delete(stream);
    try {
      await processes.submit(stream, flowEnvelope({ type: "affirm_process" as const }));
    } catch (error) {
      observer.backgroundFailed("affirmation of what landed late", error);
      if (tries < RETRY.triesMax) late.set(stream, tries + 1);
    }
  }

  async function round(): Promise<void> {
    if (presentForMs() > SLACK_MS) {
      await Promise.all([...late].map(([stream, tries]) => affirm(stream, tries)));
    }
    if (late.size > 0) schedule();
  }

  function schedule(): void {
    if (stopped || isWaiting) return;
    isWaiting = true;
    clock.after(RETRY.afterMs, () => {
      isWaiting = false;
      void round();
    });
  }

  return {
    landed: (stream, at) => {
      if (nowMs() - at + SLACK_MS < presentForMs()) return;
      late.set(stream, 0);
      schedule();
    },
    stop: () => {
      stopped = true;
    },
  };
}
