/**
 * The fold: one event onto the state. Reads every event ever written; an event that cannot follow
 * the state throws FoldError, because a contradiction in the history is never folded over.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import type { ProcessId } from "../shared/ids.ts";
import { emptyOrderedMap } from "../shared/ordered-map.ts";
import type { ReleasedHold } from "./commands.ts";
import type { GrantsEvent } from "./events.ts";
import {
  foldAccepted,
  foldBegun,
  foldDeclined,
  foldMoved,
  foldSettled,
} from "./evolve-transfers.ts";
import { grantKeyOf } from "./grant-keys.ts";
import { withAcquired, withHandle, withoutHandle, withPending, withReleased } from "./holds.ts";
import type { Deletion, GrantsState } from "./state.ts";

type EventOf<Type extends GrantsEvent["type"]> = Extract<GrantsEvent, { readonly type: Type }>;

function foldGranted(state: GrantsState, event: EventOf<"handle_granted">): GrantsState {
  const { frameId, processId, descriptor, grantedAt } = event;
  const key = grantKeyOf(frameId, processId);
  const former = state.grants.get(key);
  if (former !== undefined) {
    return { ...state, grants: state.grants.with(key, { ...former, descriptor }) };
  }
  const counted = withHandle(state, processId);
  const pending = counted.holds.get(processId)?.standing !== "held";
  const next = pending ? withPending(counted, processId, key, true) : counted;
  const grant = { frameId, processId, descriptor, grantedAt, pending };
  return { ...next, grants: next.grants.with(key, grant) };
}

function foldRevoked(state: GrantsState, event: EventOf<"handle_revoked">): GrantsState {
  const { frameId, processId } = event;
  const key = grantKeyOf(frameId, processId);
  if (!state.grants.has(key)) throw new FoldError(`no grant of process ${processId}`);
  const next = withoutHandle(withPending(state, processId, key, false), processId);
  return { ...next, grants: next.grants.without(key) };
}

function foldGone(state: GrantsState, event: EventOf<"processes_gone">): GrantsState {
  const gone = new Set<ProcessId>(event.processIds);
  let next = state;
  for (const { frameId, processId } of state.grants.values()) {
    if (!gone.has(processId)) continue;
    next = foldRevoked(next, { type: "handle_revoked", frameId, processId });
  }
  return next;
}

function foldDeleted(state: GrantsState, event: EventOf<"session_deleted">): GrantsState {
  const { cancelOrphans, reason } = event;
  let next: GrantsState = {
    ...state,
    phase: "deleted",
    grants: emptyOrderedMap(),
    deletion: {
      cancelOrphans,
      reason,
      revokedCount: state.grants.size,
      orphaned: [],
      cancelled: [],
      preserved: [],
    },
  };
  for (const { processId } of state.grants.values()) {
    next = withoutHandle(next, processId, "deletion");
  }
  return next;
}

function idsOf(
  holds: readonly ReleasedHold[],
  isWanted: (hold: ReleasedHold) => boolean,
): readonly ProcessId[] {
  return holds.filter(isWanted).map(({ processId }) => processId);
}

/** The deletion with what became of processes whose grants it took. */
function withReleases(deletion: Deletion, holds: readonly ReleasedHold[]): Deletion {
  const orphaned = idsOf(holds, ({ standing }) => standing === "orphaned");
  const cancelled = idsOf(holds, ({ cancelRequested }) => cancelRequested);
  const preserved = idsOf(holds, ({ standing }) => standing === "preserved");
  return {
    ...deletion,
    orphaned: [...deletion.orphaned, ...orphaned],
    cancelled: [...deletion.cancelled, ...cancelled],
    preserved: [...deletion.preserved, ...preserved],
  };
}

function foldReleased(state: GrantsState, event: EventOf<"holds_released">): GrantsState {
  const { deletion } = state;
  const reported = event.holds.filter(({ processId }) => state.holds.get(processId)?.ofDeletion);
  let next = deletion === null ? state : { ...state, deletion: withReleases(deletion, reported) };
  for (const { processId } of event.holds) next = withReleased(next, processId);
  return next;
}

function foldAcquired(state: GrantsState, event: EventOf<"holds_acquired">): GrantsState {
  let next = state;
  for (const { processId } of event.holds) next = withAcquired(next, processId);
  return next;
}

function fold(state: GrantsState, event: GrantsEvent, position: EventPosition): GrantsState {
  switch (event.type) {
    case "handle_granted":
      return foldGranted(state, event);
    case "handle_revoked":
      return foldRevoked(state, event);
    case "handles_moved":
      return foldMoved(state, event, position);
    case "transfer_begun":
      return foldBegun(state, event, position);
    case "transfer_accepted":
      return foldAccepted(state, event);
    case "transfer_declined":
      return foldDeclined(state, event);
    case "transfer_finished":
    case "transfer_rolled_back":
      return { ...foldSettled(state, event), deferral: null };
    case "holds_acquired":
      return { ...foldAcquired(state, event), deferral: null };
    case "holds_released":
      return { ...foldReleased(state, event), deferral: null };
    case "processes_gone":
      return foldGone(state, event);
    case "session_deleted":
      return foldDeleted(state, event);
    case "work_deferred":
      return { ...state, deferral: { attempts: event.attempts, notBefore: event.notBefore } };
  }
}

/** The state after one event. Throws FoldError when the event cannot follow the state. */
export function evolve(
  state: GrantsState,
  event: GrantsEvent,
  position: EventPosition,
): GrantsState {
  return { ...fold(state, event, position), updatedAt: position.at };
}
