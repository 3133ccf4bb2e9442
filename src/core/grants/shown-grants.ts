/** The grants that callers see: those that the processes know of, and those that are leaving. */
import type { ProcessId, SessionId } from "../shared/ids.ts";
import { entriesOfFrame } from "./grant-keys.ts";
import type { FrameId, Grant, GrantsState } from "./state.ts";

/** A grant as it is shown. */
export interface ShownGrant extends Omit<Grant, "pending"> {
  /** Where the grant is going; absent when it stays. */
  readonly transferringTo?: { readonly sessionId: SessionId; readonly frameId: FrameId };
}

function shownOf({ pending: _, ...grant }: Grant): ShownGrant {
  return grant;
}

/** Grants that are leaving; one that arrived again meanwhile is shown instead. */
function leavingGrants(state: GrantsState): readonly ShownGrant[] {
  return [...state.transfers.values()].flatMap((transfer) => {
    const { fromFrameId: frameId, toSessionId: sessionId, toFrameId, handles } = transfer;
    const transferringTo = { sessionId, frameId: toFrameId };
    return handles.map((handle) => ({ ...handle, frameId, transferringTo }));
  });
}

function byProcess(left: ShownGrant, right: ShownGrant): number {
  return left.processId < right.processId ? -1 : 1;
}

/** The shown grants of a frame, by process, after a process when one is given; at most `limit`. */
export function shownGrantsOf(
  state: GrantsState,
  frameId: FrameId,
  limit: number,
  after?: ProcessId,
): readonly ShownGrant[] {
  const shown = new Map<ProcessId, ShownGrant>();
  for (const grant of leavingGrants(state)) {
    const isBehind = after === undefined || grant.processId > after;
    if (grant.frameId === frameId && isBehind) shown.set(grant.processId, grant);
  }
  let staying = 0;
  for (const [, grant] of entriesOfFrame(state.grants, frameId, after)) {
    if (staying >= limit) break;
    if (grant.pending) continue;
    shown.set(grant.processId, shownOf(grant));
    staying += 1;
  }
  return [...shown.values()].toSorted(byProcess).slice(0, limit);
}

/** The shown grants of a process in all frames, by frame. */
export function shownGrantsFor(state: GrantsState, processId: ProcessId): readonly ShownGrant[] {
  const shown = new Map<FrameId, ShownGrant>();
  if (!state.holds.has(processId)) return [];
  for (const grant of leavingGrants(state)) {
    if (grant.processId === processId) shown.set(grant.frameId, grant);
  }
  for (const grant of state.grants.values()) {
    if (grant.processId === processId && !grant.pending) shown.set(grant.frameId, shownOf(grant));
  }
  return [...shown.values()].toSorted((left, right) => (left.frameId < right.frameId ? -1 : 1));
}

/** Whether a scope is shown a grant of a process. */
export function isShown(state: GrantsState, frameId: FrameId, processId: ProcessId): boolean {
  return shownGrantsFor(state, processId).some((grant) => grant.frameId === frameId);
}
