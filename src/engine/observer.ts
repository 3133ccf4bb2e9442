/** What the engine tells metrics and logs; it never needs an answer. */
import type { StreamName } from "../core/shared/ids.ts";

/** Notable events of the engine, for counters and log lines. */
export interface EngineObserver {
  /** A batch of commits was acknowledged. */
  readonly batchStored: (commits: number, bytes: number, durationMs: number) => void;
  /** A batch failed and is sent again; `attempt` counts from 1. */
  readonly batchRetried: (commits: number, attempt: number, error: unknown) => void;
  /** Another replica took the revision that this one wanted. */
  readonly conflict: (stream: StreamName) => void;
  /** A stream is refused from now on, with the reason. */
  readonly streamBroken: (stream: StreamName, error: unknown) => void;
  /** A stream's view row was behind and has been projected again. */
  readonly streamRepaired: (stream: StreamName) => void;
  /** Work in the background failed and will be tried again. */
  readonly backgroundFailed: (task: string, error: unknown) => void;
  readonly checkpointStored: (stream: StreamName, rows: number, bytes: number) => void;
  readonly streamLoaded: (stream: StreamName, commits: number, durationMs: number) => void;
}

/** An observer that ignores everything. */
export const silentObserver: EngineObserver = {
  batchStored: () => undefined,
  batchRetried: () => undefined,
  conflict: () => undefined,
  streamBroken: () => undefined,
  streamRepaired: () => undefined,
  backgroundFailed: () => undefined,
  checkpointStored: () => undefined,
  streamLoaded: () => undefined,
};
