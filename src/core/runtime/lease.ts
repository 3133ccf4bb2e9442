/**
 * The lease: one executor at a time holds a runtime. Decides grant, release, lapse and fence; every
 * new grant bumps the generation, so that a write of a former holder changes nothing (R10).
 */
import type { DecideContext, Decision } from "../shared/aggregate.ts";
import type { ExecutorId, IncarnationId } from "../shared/ids.ts";
import type { RuntimeCommand, RuntimeReply } from "./commands.ts";
import type { DrainExitReason } from "./drain-state.ts";
import { emitDrainExit, hostsDrain } from "./drain.ts";
import { type Draft, openDraft } from "./draft.ts";
import type { RuntimeEvent } from "./events.ts";
import { leaseHeld, notRegistered, refused, refusedByTable } from "./refusals.ts";
import { emitRunLost, emitRunReturned } from "./run-loss.ts";
import type { RuntimeState } from "./state.ts";
import { verdictOf } from "./table.ts";

type CommandOf<Type extends RuntimeCommand["type"]> = Extract<
  RuntimeCommand,
  { readonly type: Type }
>;
type RuntimeDecision = Decision<RuntimeEvent, RuntimeReply>;

/** One life of an executor process. */
export interface Holder {
  readonly executorId: ExecutorId;
  readonly incarnationId: IncarnationId;
}

const NOT_HELD: RuntimeDecision = { kind: "answer", reply: { type: "released", released: false } };

/** Whether this incarnation holds the runtime. */
export function holdsLease(state: RuntimeState, holder: Holder): boolean {
  const { lease } = state;
  return (
    lease !== null &&
    lease.incarnationId === holder.incarnationId &&
    lease.executorId === holder.executorId
  );
}

/** Decides the lease of an executor that attached naming the runtime. */
export function decideGrantLease(
  state: RuntimeState,
  command: CommandOf<"grant_lease">,
): RuntimeDecision {
  if (state.registration !== "registered") return refused(notRegistered(state));
  const verdict = verdictOf(state, "grant_lease");
  if (verdict === "INVALID_STATE" || verdict === "RUNTIME_DESTROYED") {
    return refused(refusedByTable(state, verdict));
  }
  const { lease } = state;
  const isHeld = holdsLease(state, command);
  if (lease !== null && !isHeld) return refused(leaseHeld(state));
  if (lease?.named === true) {
    return { kind: "answer", reply: { type: "lease", generation: lease.generation } };
  }
  const { executorId, incarnationId, ttlMs } = command;
  const generation = lease?.generation ?? state.generation + 1;
  const granted = { generation, executorId, incarnationId, ttlMs, named: true } as const;
  return { kind: "commit", events: [{ type: "lease_granted", ...granted }] };
}

/** Emits the release of a pooled lease once its holder has no run: the runtime becomes idle. */
export function emitPooledRelease(draft: Draft): void {
  const { lease, run } = draft.state();
  if (lease === null || lease.named || run !== null) return;
  draft.emit({ type: "lease_released", generation: lease.generation });
}

/** An incarnation that holds no lease goes; it may run the drain of a runtime that is idle. */
function decideHostGone(
  state: RuntimeState,
  holder: Holder,
  reason: DrainExitReason,
  context: DecideContext,
): RuntimeDecision {
  if (!hostsDrain(state, holder)) return NOT_HELD;
  const draft = openDraft(state, context);
  emitDrainExit(draft, reason, context);
  return draft.commit();
}

/** Decides a detach: the run goes back uncounted, then the lease. */
export function decideReleaseLease(
  state: RuntimeState,
  command: CommandOf<"release_lease">,
  context: DecideContext,
): RuntimeDecision {
  const { lease } = state;
  if (lease === null || !holdsLease(state, command)) {
    return decideHostGone(state, command, "session_shutdown", context);
  }
  const draft = openDraft(state, context);
  emitRunReturned(draft, "released", "");
  draft.emit({ type: "lease_released", generation: lease.generation });
  if (hostsDrain(state, command)) emitDrainExit(draft, "session_shutdown", context);
  return draft.commit();
}

/** Decides the lapse of the holder: its run fails, or goes back when it was never acknowledged. */
export function decideLapseLease(
  state: RuntimeState,
  command: CommandOf<"lapse_lease">,
  context: DecideContext,
): RuntimeDecision {
  const { lease, run } = state;
  if (lease === null || !holdsLease(state, command)) {
    return decideHostGone(state, command, "failed", context);
  }
  const draft = openDraft(state, context);
  if (run?.acknowledged === true) {
    emitRunLost(draft, context, { cause: "lease", error: "the executor's lease lapsed" });
  } else {
    emitRunReturned(draft, "taken_back", "");
  }
  draft.emit({ type: "lease_lapsed", generation: lease.generation });
  if (hostsDrain(state, command)) emitDrainExit(draft, "failed", context);
  return draft.commit();
}

/**
 * Emits the cut between the runtime and its executor, if it has one: the generation is bumped
 * first, then the run is failed. With a reason the staged contributors are abandoned, else they
 * roll back.
 */
export function emitFence(
  draft: Draft,
  context: DecideContext,
  abandonReason?: "stopped" | "destroyed",
): void {
  const { lease, run, generation } = draft.state();
  if (lease === null) return;
  draft.emit({ type: "lease_fenced", generation: generation + 1 });
  if (run === null) return;
  const error = "an operator took the runtime away from its executor";
  emitRunLost(draft, context, {
    cause: "fence",
    error,
    ...(abandonReason === undefined ? {} : { abandonReason }),
  });
}
