/** The refusals of the runtime, each with the facts that a program needs to go on. */
import type { Decision } from "../shared/aggregate.ts";
import { type Refusal, type RefusalReason, refusalOf } from "../shared/refusal.ts";
import type { RunId } from "../shared/ids.ts";
import type { Hindrance } from "./batch.ts";
import type { EndedRun, RuntimeState } from "./state.ts";
import { stateNameOf } from "./table.ts";

/** The decision to refuse. */
export function refused(refusal: Refusal): Decision<never, never> {
  return { kind: "refuse", refusal };
}

/** Nobody ensured the runtime, or it was unregistered since. */
export function notRegistered(state: RuntimeState): Refusal {
  const facts = state.registration === "none" ? {} : { runtimeId: state.runtimeId };
  const message = "The runtime is not registered; call EnsureRuntime";
  return refusalOf("RUNTIME_NOT_REGISTERED", message, facts);
}

/** The refusal that the table of actions names. */
export function refusedByTable(state: RuntimeState, reason: RefusalReason): Refusal {
  const facts = { runtimeId: state.runtimeId, state: stateNameOf(state) };
  switch (reason) {
    case "RUNTIME_DESTROYED":
      return refusalOf(reason, "The runtime was destroyed; its id stays used", facts);
    case "RUN_IN_FLIGHT":
      return runInFlight(state);
    case "NO_CURRENT_RUN":
      return refusalOf(reason, "The runtime has no run in flight", facts);
    default:
      return refusalOf(reason, `The action is not possible while ${facts.state}`, facts);
  }
}

/** A run stands against the action. */
export function runInFlight(state: RuntimeState): Refusal {
  return refusalOf("RUN_IN_FLIGHT", "A run is in flight; interrupt it, wait for it or fence it", {
    runtimeId: state.runtimeId,
    runId: state.run?.runId ?? "",
    generation: state.run?.generation ?? 0,
  });
}

/** Other inputs stand against a run of the caller's own input. */
export function inputsActive(state: RuntimeState, active: number): Refusal {
  const message = `${active} inputs of the runtime are not over; let them be run, or cancel them`;
  return refusalOf("INPUTS_ACTIVE", message, { runtimeId: state.runtimeId, active });
}

/** Another executor holds the runtime. */
export function leaseHeld(state: RuntimeState): Refusal {
  return refusalOf("LEASE_HELD", "Another executor holds the runtime; wait for its lease to end", {
    runtimeId: state.runtimeId,
    executorId: state.lease?.executorId ?? "",
    incarnationId: state.lease?.incarnationId ?? "",
    generation: state.lease?.generation ?? 0,
  });
}

/** The caller's generation is not the current one. */
export function leaseLost(state: RuntimeState, generation: number): Refusal {
  return refusalOf("LEASE_LOST", "The lease of this generation is over; stop working on the run", {
    runtimeId: state.runtimeId,
    generation,
    currentGeneration: state.generation,
    executorId: state.lease?.executorId ?? "",
    incarnationId: state.lease?.incarnationId ?? "",
  });
}

/** The run is over, and not by this call. */
export function runEnded(ended: EndedRun): Refusal {
  return refusalOf("RUN_ENDED", `The run is over: ${ended.how}; stop working on it`, {
    runId: ended.runId,
    how: ended.how,
    revision: ended.revision,
  });
}

/** Nothing is known of the run. */
export function runNotFound(state: RuntimeState, runId: RunId): Refusal {
  return refusalOf("RUN_NOT_FOUND", "The runtime does not know this run", {
    runtimeId: state.runtimeId,
    runId,
    currentRunId: state.run?.runId ?? "",
  });
}

/** Staged contributors without a receipt stand against the end of the run. */
export function contributorsNotApplied(staged: number): Refusal {
  return refusalOf(
    "CONTRIBUTORS_NOT_APPLIED",
    `${staged} contributors have no receipt; commit a boundary or send a final one`,
    { staged },
  );
}

/** A boundary does not name what is staged. */
export function contributorsMismatch(expected: number, named: number): Refusal {
  return refusalOf(
    "CONTRIBUTORS_MISMATCH",
    `The boundary must name exactly the ${expected} staged contributors, in order`,
    { expected, named },
  );
}

/** No run can start now. */
export function notRunnable(state: RuntimeState, hindrance: Hindrance, now: number): Refusal {
  const refusal = refusalOf("NOT_RUNNABLE", `No run can start: ${hindrance.reason}`, {
    runtimeId: state.runtimeId,
    reason: hindrance.reason,
  });
  return hindrance.reason === "backing_off"
    ? { ...refusal, retryAfterMs: hindrance.availableAt - now }
    : refusal;
}
