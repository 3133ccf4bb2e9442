/**
 * The recovery of processes by their disposition: what becomes of a live one when whoever worked on
 * it may be gone. Workers begin again what they may; a wish to abandon what no worker will ever be
 * given is carried out by whoever recovers. Time alone ends nothing (P7).
 */
import type { DecideContext } from "../shared/aggregate.ts";
import type { ProcessDecision } from "./append.ts";
import { abandonedByWish } from "./cancellation.ts";
import type { ProcessFacts } from "./facts-codec.ts";
import type { ProcessState } from "./state.ts";
import { verdictOf } from "./table.ts";

/**
 * What may become of a live process: `held` by a worker; `claimable`; `waiting` for something
 * before it is; or given to no worker any more: `owner_lost` is owner-bound and was started,
 * `exhausted` was started as often as allowed, `outside` is owned outside.
 */
export type RecoveryProspect =
  | "held"
  | "claimable"
  | "waiting"
  | "owner_lost"
  | "exhausted"
  | "outside";

/** What tells what may become of a process. */
type RecoveryFacts = Pick<
  ProcessFacts,
  "disposition" | "firstStart" | "generation" | "attemptsMax"
> & {
  readonly lease: ProcessFacts["lease"];
};

/** What may become of a live process; `isClaimable` as the summary says. */
export function recoveryProspectOf(facts: RecoveryFacts, isClaimable: boolean): RecoveryProspect {
  const { disposition, firstStart, generation, attemptsMax = Infinity } = facts;
  if (facts.lease !== null) return "held";
  if (disposition === "externally_owned") return "outside";
  if (disposition === "owner_bound" && firstStart !== null) return "owner_lost";
  if (generation >= attemptsMax) return "exhausted";
  return isClaimable ? "claimable" : "waiting";
}

/** Whether a process that stands so is ended when somebody wished to abandon it. */
export function isAbandonedByWish(prospect: RecoveryProspect): boolean {
  return prospect === "owner_lost" || prospect === "exhausted" || prospect === "outside";
}

/** Decides whether a wish to abandon a process is carried out; changes nothing where it is not. */
export function decideReconcileAbandon(
  state: ProcessState,
  context: DecideContext,
): ProcessDecision {
  const { registration, abandonRequest } = state;
  const isLive = verdictOf(state, "reconcile_abandon") === "allow" && registration !== null;
  const isCertain =
    isLive && isAbandonedByWish(recoveryProspectOf({ ...state, ...registration }, false));
  if (!isCertain || abandonRequest === null) {
    return { kind: "answer", reply: { type: "done", changed: false } };
  }
  return { kind: "commit", events: [abandonedByWish(state, context.now)] };
}
