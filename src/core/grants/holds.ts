/**
 * The session's hold on each process as the fold changes it: it is taken with the first grant of
 * the process in any scope and let go with the last one (G1, G2).
 */
import { FoldError } from "../shared/fold-error.ts";
import type { ProcessId } from "../shared/ids.ts";
import { assertStep } from "../shared/step.ts";
import type { GrantKey, GrantsState, Hold } from "./state.ts";
import { HOLD_STEPS, type HoldStepName } from "./table.ts";

function withHold(state: GrantsState, processId: ProcessId, hold: Hold): GrantsState {
  const { openHolds } = state;
  return {
    ...state,
    holds: state.holds.with(processId, hold),
    openHolds:
      hold.standing === "held"
        ? openHolds.without(processId)
        : openHolds.with(processId, hold.mark),
  };
}

function assertHoldStep(state: GrantsState, processId: ProcessId, step: HoldStepName): void {
  assertStep(HOLD_STEPS[step], state.holds.get(processId)?.standing ?? "none", step);
}

/** The hold of a process that has grants. Throws FoldError when there is none. */
function holdOf(state: GrantsState, processId: ProcessId): Hold {
  const hold = state.holds.get(processId);
  if (hold === undefined) throw new FoldError(`no hold on process ${processId}`);
  return hold;
}

/** The state with one more grant of a process; a hold that is not there is taken. */
export function withHandle(state: GrantsState, processId: ProcessId): GrantsState {
  const hold = state.holds.get(processId);
  if (hold !== undefined && hold.handleCount > 0) {
    return withHold(state, processId, { ...hold, handleCount: hold.handleCount + 1 });
  }
  assertHoldStep(state, processId, "first_handle");
  const mark = state.lastMark + 1;
  const { to: standing } = HOLD_STEPS.first_handle;
  const taken: Hold = { mark, standing, handleCount: 1, pending: [], ofDeletion: false };
  return withHold({ ...state, lastMark: mark }, processId, taken);
}

/** The state with one grant of a process less; with the last one the hold is let go. */
export function withoutHandle(
  state: GrantsState,
  processId: ProcessId,
  cause: "session" | "deletion" = "session",
): GrantsState {
  const hold = holdOf(state, processId);
  const handleCount = hold.handleCount - 1;
  if (handleCount < 0) throw new FoldError(`no grant of process ${processId} is left`);
  if (handleCount === 0) assertHoldStep(state, processId, "last_handle_gone");
  return withHold(state, processId, {
    ...hold,
    handleCount,
    standing: handleCount === 0 ? HOLD_STEPS.last_handle_gone.to : hold.standing,
    pending: handleCount === 0 ? [] : hold.pending,
    ofDeletion: hold.ofDeletion || cause === "deletion",
  });
}

/** The state in which a grant of a process waits for the hold, or does not any more. */
export function withPending(
  state: GrantsState,
  processId: ProcessId,
  key: GrantKey,
  isPending: boolean,
): GrantsState {
  const hold = holdOf(state, processId);
  const others = hold.pending.filter((other) => other !== key);
  const pending = isPending ? [...others, key] : others;
  return withHold(state, processId, { ...hold, pending });
}

/** The state once the process knows of the hold: what was pending is granted (G3). */
export function withAcquired(state: GrantsState, processId: ProcessId): GrantsState {
  assertHoldStep(state, processId, "acquired");
  const hold = holdOf(state, processId);
  const granted = hold.pending.flatMap((key) => {
    const grant = state.grants.get(key);
    return grant === undefined ? [] : [[key, { ...grant, pending: false }] as const];
  });
  const acquired: Hold = { ...hold, standing: HOLD_STEPS.acquired.to, pending: [] };
  const next = withHold(state, processId, acquired);
  return { ...next, grants: next.grants.withEntries(granted) };
}

/** The state once the process knows that the hold is over. */
export function withReleased(state: GrantsState, processId: ProcessId): GrantsState {
  assertHoldStep(state, processId, "released");
  return {
    ...state,
    holds: state.holds.without(processId),
    openHolds: state.openHolds.without(processId),
  };
}
