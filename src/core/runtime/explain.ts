/**
 * Why a runtime is not doing more right now: every cause that holds, what has to give way first
 * comes first. Pure, from the folded state and from what is known about executors; a registered
 * runtime that is neither over nor running always has at least one.
 */
import type {
  ExecutorId,
  Generation,
  IncarnationId,
  InputId,
  RunId,
  TimeMs,
} from "../shared/ids.ts";
import { headerOf, queuedCount } from "./lanes.ts";
import type { InputHeader, Lane, RuntimeState } from "./state.ts";
import { ACKNOWLEDGE_TIMEOUT_MS } from "./summarize.ts";

/** What is known about executors, at any replica and at this one. */
export interface ExecutorFacts {
  /** Incarnations whose register lives and that attached to the runtime's pool last. */
  readonly poolExecutors: number;
  /** Of these, the ones at replicas where none of them takes a run now. */
  readonly busyExecutors: number;
  /** When the last register that served the pool is or was over; absent when none is known. */
  readonly poolServedUntil?: TimeMs;
  /** The register of the lease's holder; absent without a lease or a register. */
  readonly holder?: {
    readonly renewedAt: TimeMs;
    readonly expiresAt: TimeMs;
    readonly isLapsed: boolean;
  };
}

/** The executor that a cause is about. */
interface AboutExecutor {
  readonly executorId: ExecutorId;
  readonly incarnationId: IncarnationId;
  readonly generation: Generation;
}

/** One cause; `since` is when it began to hold, `until` when it ends by itself at the latest. */
export type Cause =
  | { readonly type: "unregistered" | "destroyed" | "stopped"; readonly since: TimeMs }
  | ({
      /** Assigned, and taken back unless the executor shows by then that it has the run. */
      readonly type: "run_unacknowledged";
      readonly runId: RunId;
      readonly since: TimeMs;
      readonly until: TimeMs;
    } & AboutExecutor)
  | ({
      readonly type: "run_in_flight";
      readonly runId: RunId;
      readonly attempt: number;
      readonly since: TimeMs;
    } & AboutExecutor)
  | ({
      /** The executor was asked to end the run and has not done so yet. */
      readonly type: "interrupt_pending";
      readonly runId: RunId;
      readonly since: TimeMs;
    } & AboutExecutor)
  | { readonly type: "retired"; readonly since: TimeMs }
  | {
      readonly type: "intake_full";
      readonly queued: number;
      readonly limit: number;
      readonly since: TimeMs;
    }
  | { readonly type: "nothing_queued"; readonly since: TimeMs }
  | {
      /** The head of a lane waits after a failed attempt, and the lane with it. */
      readonly type: "backing_off";
      readonly inputId: InputId;
      readonly lane: Lane;
      readonly attempts: number;
      readonly since: TimeMs;
      readonly until: TimeMs;
    }
  | {
      /** Inputs wait that woke nobody; the first of them is named. */
      readonly type: "not_woken";
      readonly inputId: InputId;
      readonly queued: number;
      readonly since: TimeMs;
    }
  | ({
      /** Only this executor may run it; `until` unless it renews. */
      readonly type: "lease_held";
      readonly since: TimeMs;
      readonly until?: TimeMs;
    } & AboutExecutor)
  | ({
      /** The holder has not renewed since then; its lease is about to lapse. */
      readonly type: "lease_lapsing";
      readonly since: TimeMs;
    } & AboutExecutor)
  | { readonly type: "no_executor"; readonly pool: string; readonly since: TimeMs }
  | {
      readonly type: "executors_busy";
      readonly pool: string;
      readonly executors: number;
      readonly since: TimeMs;
    }
  | {
      /** Nothing stands against a run: an executor is being told, or is about to be. */
      readonly type: "awaiting_assignment";
      readonly executors: number;
      readonly since: TimeMs;
    };

function holderOf(state: RuntimeState): AboutExecutor | undefined {
  const { lease } = state;
  if (lease === null) return undefined;
  const { executorId, incarnationId, generation } = lease;
  return { executorId, incarnationId, generation };
}

function runCauses(state: RuntimeState): readonly Cause[] {
  const { run } = state;
  const holder = holderOf(state);
  if (run === null || holder === undefined) return [];
  const { runId, attempt, startedAt: since } = run;
  const flight: Cause = run.acknowledged
    ? { type: "run_in_flight", runId, attempt, since, ...holder }
    : {
        type: "run_unacknowledged",
        runId,
        since,
        until: since + ACKNOWLEDGE_TIMEOUT_MS,
        ...holder,
      };
  const { interruptedAt } = run;
  if (interruptedAt === null) return [flight];
  return [flight, { type: "interrupt_pending", runId, since: interruptedAt, ...holder }];
}

function headsOf(state: RuntimeState): readonly InputHeader[] {
  return [state.steerLane, state.queueLane].flatMap((lane) => {
    const [inputId] = lane.values();
    return inputId === undefined ? [] : [headerOf(state, inputId)];
  });
}

function backingOff({ inputId, lane, attempts, updatedAt, notBefore }: InputHeader): Cause {
  const facts = { inputId, lane: lane ?? "queue", attempts, since: updatedAt, until: notBefore };
  return { type: "backing_off", ...facts };
}

function queueCauses(state: RuntimeState, now: TimeMs): readonly Cause[] {
  const queued = queuedCount(state);
  if (queued === 0) return [{ type: "nothing_queued", since: state.since.empty }];
  const heads = headsOf(state);
  const causes = heads.filter(({ notBefore }) => notBefore > now).map(backingOff);
  const [first] = heads.toSorted((left, right) => left.ordinal - right.ordinal);
  if (state.wake || first === undefined) return causes;
  const { inputId, admittedAt: since } = first;
  return [...causes, { type: "not_woken", inputId, queued, since }];
}

/** Whether a run could start now, as far as the runtime itself goes. */
function isDue(state: RuntimeState, now: TimeMs): boolean {
  return state.wake && headsOf(state).some(({ notBefore }) => notBefore <= now);
}

/** Since when a run could have started; only meaningful when one could now. */
function dueSince(state: RuntimeState, now: TimeMs): TimeMs {
  const due = headsOf(state).flatMap(({ notBefore }) => (notBefore <= now ? [notBefore] : []));
  return Math.max(state.wakeAt, Math.min(...due));
}

/** The holder that stopped renewing, whether it has a run or not. */
function lapsingCauses(state: RuntimeState, facts: ExecutorFacts, now: TimeMs): readonly Cause[] {
  const holder = holderOf(state);
  const { holder: register } = facts;
  if (holder === undefined || register === undefined) return [];
  if (!register.isLapsed && register.expiresAt > now) return [];
  return [{ type: "lease_lapsing", since: register.renewedAt, ...holder }];
}

function leaseCauses(state: RuntimeState, facts: ExecutorFacts, now: TimeMs): readonly Cause[] {
  const holder = holderOf(state);
  if (holder === undefined || state.lease === null) return [];
  const lapsing = lapsingCauses(state, facts, now);
  if (lapsing.length > 0) return lapsing;
  const { holder: register } = facts;
  const held: Cause = {
    type: "lease_held",
    since: state.lease.grantedAt,
    ...(register === undefined ? {} : { until: register.expiresAt }),
    ...holder,
  };
  if (!isDue(state, now)) return [held];
  return [held, { type: "awaiting_assignment", executors: 1, since: dueSince(state, now) }];
}

/** Since when nobody could run the runtime: it was there, not leased, and its pool was empty. */
function unservedSince({ since }: RuntimeState, facts: ExecutorFacts, now: TimeMs): TimeMs {
  const { poolServedUntil = 0 } = facts;
  return Math.min(now, Math.max(since.registration, since.unattended, poolServedUntil));
}

function poolCauses(state: RuntimeState, facts: ExecutorFacts, now: TimeMs): readonly Cause[] {
  const { pool } = state.config;
  const { poolExecutors: executors, busyExecutors } = facts;
  if (executors === 0) {
    return [{ type: "no_executor", pool, since: unservedSince(state, facts, now) }];
  }
  if (!isDue(state, now)) return [];
  const since = dueSince(state, now);
  // One that is not known to be busy may be about to take the run.
  return busyExecutors >= executors
    ? [{ type: "executors_busy", pool, executors, since }]
    : [{ type: "awaiting_assignment", executors, since }];
}

/** The causes, in order. Empty only for a runtime that nobody ever ensured. */
export function explain(state: RuntimeState, facts: ExecutorFacts, now: TimeMs): readonly Cause[] {
  const { registration, phase, since, config } = state;
  if (registration === "none") return [];
  if (phase === "destroyed") return [{ type: phase, since: since.phase }];
  if (registration === "unregistered") return [{ type: registration, since: since.registration }];
  if (phase === "stopped") return [{ type: phase, since: since.phase }];
  const queued = queuedCount(state);
  const isFull = queued >= config.queueLimit;
  const intake: readonly Cause[] = [
    ...(phase === "retired" ? [{ type: phase, since: since.phase } as const] : []),
    ...(isFull
      ? [{ type: "intake_full", queued, limit: config.queueLimit, since: since.full } as const]
      : []),
  ];
  if (state.run !== null) {
    return [...runCauses(state), ...lapsingCauses(state, facts, now), ...intake];
  }
  const served =
    state.lease === null ? poolCauses(state, facts, now) : leaseCauses(state, facts, now);
  return [...queueCauses(state, now), ...served, ...intake];
}
