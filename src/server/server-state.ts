/**
 * What the server is fit for at this moment, in one place: whether it is alive, whether it should
 * be sent calls, and the refusal of those that come nevertheless.
 *
 *   starting -> serving -> draining
 *
 * S1 A replica is ready only while it serves, the database answers and its time can be trusted.
 * S2 An outage of the database makes a serving replica unready, but calls are still taken: they
 *    wait for a while and most outages are short.
 */
import { type Refusal, refusalOf } from "../core/shared/refusal.ts";

/** Where the server is in its life. */
export type ServerPhase = "starting" | "serving" | "draining";

/** Sources of what is known about the parts, once they exist. */
export interface ServingFacts {
  readonly isDatabaseReachable: () => boolean;
  readonly isTimeTrusted: () => boolean;
}

/** What `/readyz` answers. */
export interface ReadinessReport {
  readonly ready: boolean;
  readonly phase: ServerPhase;
  readonly database: "reachable" | "unreachable";
  readonly time: "trusted" | "untrusted";
}

/** The state of a server. */
export interface ServerState {
  readonly phase: () => ServerPhase;
  /** The database did not answer while starting. */
  readonly databaseMissed: () => void;
  readonly serve: (facts: ServingFacts) => void;
  readonly drain: () => void;
  readonly report: () => ReadinessReport;
  readonly isReady: () => boolean;
  /** The refusal of a call that comes now; `undefined` while calls are taken. */
  readonly gate: () => Refusal | undefined;
}

const RETRY_SOON_MS = 500;
const RETRY_LATER_MS = 1_000;

function refusalWithRetry(
  reason: "NOT_READY" | "DATABASE_UNAVAILABLE" | "SERVER_DRAINING" | "OVERLOADED",
  message: string,
  retryAfterMs: number,
): Refusal {
  return { ...refusalOf(reason, message), retryAfterMs };
}

const STARTING = refusalWithRetry("NOT_READY", "The server is starting", RETRY_SOON_MS);
const NO_DATABASE = refusalWithRetry(
  "DATABASE_UNAVAILABLE",
  "The server is waiting for its database",
  RETRY_LATER_MS,
);
const NO_TIME = refusalWithRetry(
  "DATABASE_UNAVAILABLE",
  "The database has been away for so long that its time is not known any more",
  RETRY_LATER_MS,
);
const DRAINING = refusalWithRetry(
  "SERVER_DRAINING",
  "The server is stopping; another replica or its successor will answer",
  RETRY_SOON_MS,
);
const OVERLOADED = refusalWithRetry(
  "OVERLOADED",
  "Requests in flight hold all the memory they may; come back a little later",
  RETRY_SOON_MS,
);

/** Makes the state of a server that has just begun to start. */
export function makeServerState(isOverloaded: () => boolean): ServerState {
  let phase: ServerPhase = "starting";
  let facts: ServingFacts | undefined;
  let isDatabaseMissing = false;

  function report(): ReadinessReport {
    const isReachable = facts?.isDatabaseReachable() ?? false;
    const isTrusted = facts?.isTimeTrusted() ?? false;
    return {
      ready: phase === "serving" && isReachable && isTrusted,
      phase,
      database: isReachable ? "reachable" : "unreachable",
      time: isTrusted ? "trusted" : "untrusted",
    };
  }

  function gate(): Refusal | undefined {
    if (phase === "draining") return DRAINING;
    if (phase === "starting") return isDatabaseMissing ? NO_DATABASE : STARTING;
    if (facts?.isTimeTrusted() === false) return NO_TIME;
    return isOverloaded() ? OVERLOADED : undefined;
  }

  return {
    phase: () => phase,
    databaseMissed: () => {
      isDatabaseMissing = true;
    },
    serve: (servingFacts) => {
      if (phase !== "starting") return;
      facts = servingFacts;
      phase = "serving";
    },
    drain: () => {
      phase = "draining";
    },
    report,
    isReady: () => report().ready,
    gate,
  };
}
