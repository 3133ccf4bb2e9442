/**
 * What the folded state knows of a runtime's drain: the task that takes what peers send to the
 * runtime and ingests it. It runs at an executor; the state says whether there is to be one, where
 * it runs and how the last one ended.
 */
import type { ExecutorId, IncarnationId, TimeMs } from "../shared/ids.ts";

/** `starting`: waits for an executor. `exited_respawnable`: failed, waits for another try. */
export type DrainPhase = "inactive" | "starting" | "running" | "exited_respawnable" | "stopped";

/** For whom a drain runs: for the executor that is attached, or for a host that stays alive. */
export type DrainMode = "attached_session" | "persistent_host";

/** Why a drain ended, as its executor says; a lost executor counts as `failed`. */
export type DrainExitReason = "dismissed" | "failed" | "aborted" | "session_shutdown";

/** Where the runtime is reached by its peers, as the executor's own transport understands it. */
export interface PeerEndpoint {
  /** Under which name peers know the runtime; may be empty. */
  readonly peerName: string;
  /** Identity of the runtime among its peers; may be empty. */
  readonly peerId: string;
  readonly address: string;
}

/** The executor incarnation that a drain runs at. */
export interface DrainHost {
  readonly executorId: ExecutorId;
  readonly incarnationId: IncarnationId;
}

/** The drain of a runtime; at most one is active. */
export interface Drain {
  readonly phase: DrainPhase;
  /** Set while a drain is wanted, by the one that is or was last. */
  readonly mode: DrainMode | null;
  /** How many drains were ever started; names the present or last one. */
  readonly sequence: number;
  /** Set exactly while it is `running`. */
  readonly host: DrainHost | null;
  /** When the phase was reached. */
  readonly since: TimeMs;
  /** No executor gets it before this time. */
  readonly notBefore: TimeMs;
  /** Failures in a row, for the backoff. */
  readonly failures: number;
  readonly lastExit: DrainExitReason | null;
}

/** A runtime that never had a drain. */
export const NO_DRAIN: Drain = {
  phase: "inactive",
  mode: null,
  sequence: 0,
  host: null,
  since: 0,
  notBefore: 0,
  failures: 0,
  lastExit: null,
};
