/**
 * The fold of transfers: grants that leave for another session, come back, or arrive from one, and
 * moves within the session.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import type { TimeMs } from "../shared/ids.ts";
import { assertStep } from "../shared/step.ts";
import type { GrantsEvent } from "./events.ts";
import { grantKeyOf } from "./grant-keys.ts";
import { withHandle, withoutHandle, withPending } from "./holds.ts";
import type {
  AcceptedSerials,
  Deletion,
  FrameId,
  Grant,
  GrantsState,
  LeavingHandle,
  MovedHandle,
  Transfer,
} from "./state.ts";
import { TRANSFER_STEPS } from "./table.ts";

type EventOf<Type extends GrantsEvent["type"]> = Extract<GrantsEvent, { readonly type: Type }>;

const NO_SERIALS: AcceptedSerials = { floor: 0, serials: [], declined: [] };

function arrived(handle: MovedHandle, frameId: FrameId, grantedAt: TimeMs): Grant {
  const { processId, descriptor } = handle;
  return { frameId, processId, descriptor, grantedAt, pending: false };
}

/** The state with a grant that arrives in a scope; one that is there is replaced. */
function withArrived(state: GrantsState, grant: Grant): GrantsState {
  const key = grantKeyOf(grant.frameId, grant.processId);
  const next = state.grants.has(key)
    ? withPending(state, grant.processId, key, false)
    : withHandle(state, grant.processId);
  return { ...next, grants: next.grants.with(key, grant) };
}

/** Folds a move within the session. */
export function foldMoved(
  state: GrantsState,
  event: EventOf<"handles_moved">,
  position: EventPosition,
): GrantsState {
  let next = state;
  for (const handle of event.handles) {
    next = withArrived(next, arrived(handle, event.toFrameId, position.at));
    const from = grantKeyOf(event.fromFrameId, handle.processId);
    next = { ...withoutHandle(next, handle.processId), grants: next.grants.without(from) };
  }
  return next;
}

/** Folds an intent: the grants are leaving and still count (G1). */
export function foldBegun(
  state: GrantsState,
  event: EventOf<"transfer_begun">,
  position: EventPosition,
): GrantsState {
  const { serial, fromFrameId, toSessionId, toFrameId } = event;
  const keys = event.handles.map(({ processId }) => grantKeyOf(fromFrameId, processId));
  const handles = event.handles.map((handle): LeavingHandle => {
    const grant = state.grants.get(grantKeyOf(fromFrameId, handle.processId));
    if (grant === undefined) throw new FoldError(`no grant of process ${handle.processId}`);
    return { ...handle, grantedAt: grant.grantedAt };
  });
  const transfer: Transfer = {
    serial,
    fromFrameId,
    toSessionId,
    toFrameId,
    handles,
    begunAt: position.at,
    ...(event.solePrefixes === undefined ? {} : { solePrefixes: event.solePrefixes }),
  };
  return {
    ...state,
    lastSerial: serial,
    transfers: state.transfers.with(serial, transfer),
    grants: state.grants.withoutKeys(keys),
    leaving: state.leaving.withEntries(keys.map((key) => [key, serial])),
  };
}

/** The serials of a source once one more is taken in; those below the floor need no entry. */
function withSerial(known: AcceptedSerials, serial: number, settledBelow: number): AcceptedSerials {
  const floor = Math.max(known.floor, settledBelow);
  return { ...known, floor, serials: [...known.serials, serial].filter((other) => other >= floor) };
}

/** Folds that a transfer of another session is never taken in (G5). */
export function foldDeclined(state: GrantsState, event: EventOf<"transfer_declined">): GrantsState {
  const { fromSessionId, serial } = event;
  const known = state.sources.get(fromSessionId) ?? NO_SERIALS;
  const declined = [...known.declined, serial];
  return { ...state, sources: state.sources.with(fromSessionId, { ...known, declined }) };
}

/** Folds the arrival of grants of another session (G5). */
export function foldAccepted(state: GrantsState, event: EventOf<"transfer_accepted">): GrantsState {
  const { fromSessionId, serial, settledBelow, toFrameId, handles, grantedAt } = event;
  const known = state.sources.get(fromSessionId) ?? NO_SERIALS;
  let next: GrantsState = {
    ...state,
    sources: state.sources.with(fromSessionId, withSerial(known, serial, settledBelow)),
  };
  for (const handle of handles) next = withArrived(next, arrived(handle, toFrameId, grantedAt));
  return next;
}

/** The deletion with one more grant taken away. */
function withRevoked(deletion: Deletion | null): Deletion {
  if (deletion === null) throw new FoldError("the session is not being deleted");
  return { ...deletion, revokedCount: deletion.revokedCount + 1 };
}

/** A grant comes back; one that the scope was given meanwhile stays, a deleted scope has none. */
function withReturned(state: GrantsState, grant: Grant): GrantsState {
  const { processId } = grant;
  if (state.phase === "deleted") {
    const revoked = withoutHandle(state, processId, "deletion");
    return { ...revoked, deletion: withRevoked(state.deletion) };
  }
  const key = grantKeyOf(grant.frameId, processId);
  if (state.grants.has(key)) return withoutHandle(state, processId);
  return { ...state, grants: state.grants.with(key, grant) };
}

/** Folds the end of a transfer: the grants have left, or are back (G4). */
export function foldSettled(
  state: GrantsState,
  event: EventOf<"transfer_finished" | "transfer_rolled_back">,
): GrantsState {
  const transfer = state.transfers.get(event.serial);
  const standing = transfer === undefined ? "none" : TRANSFER_STEPS.transfer_begun.to;
  assertStep(TRANSFER_STEPS[event.type], standing, event.type);
  if (transfer === undefined) return state;
  const { handles, fromFrameId } = transfer;
  const keys = handles.map(({ processId }) => grantKeyOf(fromFrameId, processId));
  let next: GrantsState = {
    ...state,
    transfers: state.transfers.without(event.serial),
    leaving: state.leaving.withoutKeys(keys),
  };
  for (const handle of handles) {
    next =
      event.type === "transfer_finished"
        ? withoutHandle(next, handle.processId)
        : withReturned(next, arrived(handle, fromFrameId, handle.grantedAt));
  }
  return next;
}
