/**
 * What the views, the dispatcher and the timers go by. The pool of a process is its kind, and it is
 * runnable while a worker could claim it, since it was registered: workers get the oldest first.
 */
import type { StreamSummary } from "../shared/aggregate.ts";
import type { LeaseToken, TimeMs } from "../shared/ids.ts";
import { ROLL_FORWARD_AFTER_MS } from "../shared/roll-forward.ts";
import type { ProcessState } from "./state.ts";
import { needsGrant, taskDueAt } from "./task-work.ts";
import { wakesDueAt } from "./wakes.ts";

/** Heap bytes of an empty state, a header, a pending wake and a holder, near enough. */
const BYTES = { state: 4_096, header: 500, wake: 400, holder: 200 } as const;

const NO_LABELS = {};

/** The holder of a lease in views and registers; no executor's name contains a colon. */
export const holderOfLease = (leaseToken: LeaseToken): string => `process:${leaseToken}`;

/** Whether the attempts that the registration allows are used up. */
export function isExhausted(state: ProcessState): boolean {
  const { attemptsMax } = state.registration ?? {};
  return attemptsMax !== undefined && state.generation >= attemptsMax;
}

/** Whether what the process waits for has come, or somebody wishes its end. */
function isAwake({ wait, typeCounts, cancelRequest, abandonRequest }: ProcessState): boolean {
  if (wait === null || cancelRequest !== null || abandonRequest !== null) return true;
  return (typeCounts.get(wait.eventType)?.count ?? 0) >= wait.ordinal;
}

/** Whether a worker that asks for work could be given the process; a task once it is granted. */
export function isClaimable(state: ProcessState): boolean {
  const { registration, end, lease, firstStart } = state;
  if (registration === null || end !== null || lease !== null) return false;
  if (needsGrant(state)) return false;
  if (registration.disposition === "externally_owned" || isExhausted(state)) return false;
  if (registration.disposition === "owner_bound" && firstStart !== null) return false;
  return isAwake(state);
}

function dueAtOf(state: ProcessState): TimeMs | undefined {
  const { prunedAt, holderCount } = state;
  if (prunedAt === null) {
    const dueAt = Math.min(wakesDueAt(state) ?? Infinity, taskDueAt(state) ?? Infinity);
    return dueAt === Infinity ? undefined : dueAt;
  }
  return holderCount > 0 ? prunedAt + ROLL_FORWARD_AFTER_MS : undefined;
}

/** The summary of a process. */
export function summarize(state: ProcessState): StreamSummary {
  const { registration, end, lease, prunedAt, createdAt } = state;
  const dueAt = dueAtOf(state);
  return {
    state: prunedAt === null ? (end?.status ?? "running") : "pruned",
    labels: registration?.labels ?? NO_LABELS,
    ...(registration === null ? {} : { pool: registration.identity.kind }),
    ...(isClaimable(state) ? { runnableSince: createdAt } : {}),
    ...(dueAt === undefined ? {} : { dueAt }),
    ...(lease === null ? {} : { holder: holderOfLease(lease.leaseToken) }),
    gone: prunedAt !== null,
  };
}

/** Heap bytes of a state, near enough for the cache. */
export function bytesOf(state: ProcessState): number {
  return (
    BYTES.state +
    state.registrationBytes +
    state.events.size * BYTES.header +
    state.outbox.size * BYTES.wake +
    state.holders.size * BYTES.holder
  );
}
