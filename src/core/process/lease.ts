/**
 * The lease: one worker at a time holds a process. Every new hold bumps the generation, so that a
 * write of a former holder changes nothing (P3); the same owner in the same life keeps its hold.
 */
import type { DecideContext } from "../shared/aggregate.ts";
import type { Refusal } from "../shared/refusal.ts";
import { holdsLease, type ProcessDecision } from "./append.ts";
import { reconciledEnd } from "./cancellation.ts";
import type { ProcessCommand } from "./commands.ts";
import { leaseHeld, notClaimable, refused, refusedByTable } from "./refusals.ts";
import type { Lease, ProcessState } from "./state.ts";
import { isClaimable, isExhausted } from "./summarize.ts";
import { verdictOf } from "./table.ts";
import type { LeaseOwner } from "./terms.ts";

type CommandOf<Type extends ProcessCommand["type"]> = Extract<
  ProcessCommand,
  { readonly type: Type }
>;

const NOT_HELD: ProcessDecision = { kind: "answer", reply: { type: "released", released: false } };

function isSameOwner(left: LeaseOwner, right: LeaseOwner): boolean {
  return left.ownerId === right.ownerId && left.incarnationId === right.incarnationId;
}

/** Why a free process is not for this owner; undefined when it is. */
function claimProblem(state: ProcessState, owner: LeaseOwner): Refusal | undefined {
  const disposition = state.registration?.disposition;
  if (disposition === "externally_owned") {
    return notClaimable(state, "it is owned outside and no worker ever runs it");
  }
  const { firstStart } = state;
  const isOthers = firstStart !== null && !isSameOwner(firstStart.owner, owner);
  if (disposition === "owner_bound" && isOthers) {
    return notClaimable(state, "it was started by another worker and is never run again");
  }
  return isExhausted(state)
    ? notClaimable(state, "it was started as often as its registration allows")
    : undefined;
}

function decideExtension(lease: Lease, command: CommandOf<"claim_lease">): ProcessDecision {
  const { ttlMs } = command;
  if (ttlMs === lease.ttlMs) {
    return { kind: "answer", reply: { type: "leased", lease, extended: true } };
  }
  return { kind: "commit", events: [{ type: "process_lease_extended", ...lease, ttlMs }] };
}

/** Decides a claim. */
export function decideClaim(
  state: ProcessState,
  command: CommandOf<"claim_lease">,
): ProcessDecision {
  const { processId, owner, leaseToken, ttlMs } = command;
  const barred = refusedByTable(state, "claim_lease", processId);
  if (barred !== undefined) return refused(barred);
  const { lease } = state;
  if (lease !== null) {
    const isTheirs = !command.isForAnyWork && isSameOwner(lease.owner, owner);
    return isTheirs ? decideExtension(lease, command) : refused(leaseHeld(state));
  }
  const problem = claimProblem(state, owner);
  if (problem !== undefined) return refused(problem);
  if (command.isForAnyWork && !isClaimable(state)) {
    return refused(notClaimable(state, "it waits for something, or for its own owner"));
  }
  const generation = state.generation + 1;
  return {
    kind: "commit",
    events: [{ type: "process_lease_claimed", generation, leaseToken, owner, ttlMs }],
  };
}

function leaseEnd(
  state: ProcessState,
  type: "process_lease_released" | "process_lease_lapsed",
  context: DecideContext,
): ProcessDecision {
  const end = reconciledEnd(state, state.abandonRequest !== null, context.now);
  return { kind: "commit", events: [{ type, generation: state.generation }, ...end] };
}

/** Decides a release; a stale one changes nothing. */
export function decideRelease(
  state: ProcessState,
  command: CommandOf<"release_lease">,
  context: DecideContext,
): ProcessDecision {
  const barred = refusedByTable(state, "release_lease", command.processId);
  if (barred !== undefined) return refused(barred);
  if (!holdsLease(state, command.lease)) return NOT_HELD;
  return leaseEnd(state, "process_lease_released", context);
}

/** Decides the lapse of a hold whose register is over for good. */
export function decideLapse(
  state: ProcessState,
  command: CommandOf<"lapse_lease">,
  context: DecideContext,
): ProcessDecision {
  if (verdictOf(state, "lapse_lease") !== "allow") return NOT_HELD;
  if (state.lease?.leaseToken !== command.leaseToken) return NOT_HELD;
  return leaseEnd(state, "process_lease_lapsed", context);
}
