/** Decisions about moving grants: within the session in one commit, to another one by an intent. */
import type { Decision } from "../shared/aggregate.ts";
import type { ProcessId } from "../shared/ids.ts";
import { refusalOf, type Refusal } from "../shared/refusal.ts";
import type { GrantsCommand, GrantsReply } from "./commands.ts";
import type { GrantsEvent } from "./events.ts";
import { grantKeyOf } from "./grant-keys.ts";
import { formerVerdictOn } from "./open-work.ts";
import { handleInTransfer, handleNotGranted } from "./refusals.ts";
import { nameHolder } from "./sole-names.ts";
import type { FrameId, GrantsState, MovedHandle } from "./state.ts";

type GrantsDecision = Decision<GrantsEvent, GrantsReply>;
type CommandOf<Type extends GrantsCommand["type"]> = Extract<
  GrantsCommand,
  { readonly type: Type }
>;

const NOTHING_TO_MOVE: GrantsDecision = {
  kind: "answer",
  reply: { type: "moved", handles: [] },
};

/** The grants that a scope is to give away, all of them, or why it cannot. */
function movableHandles(
  state: GrantsState,
  frameId: FrameId,
  processIds: readonly ProcessId[],
): readonly MovedHandle[] | Refusal {
  const handles: MovedHandle[] = [];
  for (const processId of processIds) {
    const key = grantKeyOf(frameId, processId);
    const grant = state.grants.get(key);
    if (state.leaving.has(key)) return handleInTransfer(processId);
    if (grant === undefined || grant.pending) return handleNotGranted(processId);
    handles.push({ processId, descriptor: grant.descriptor });
  }
  return handles;
}

/** Decides a move to another scope of the session: all in one commit, or nothing. */
export function decideMove(state: GrantsState, command: CommandOf<"move_handles">): GrantsDecision {
  const { fromFrameId, toFrameId, processIds } = command;
  const handles = movableHandles(state, fromFrameId, processIds);
  if ("reason" in handles) return { kind: "refuse", refusal: handles };
  if (fromFrameId === toFrameId) {
    const refusal = refusalOf("INVALID_FIELD", "The grants are to be moved to another scope");
    return { kind: "refuse", refusal };
  }
  const busy = processIds.find((processId) => state.leaving.has(grantKeyOf(toFrameId, processId)));
  if (busy !== undefined) return { kind: "refuse", refusal: handleInTransfer(busy) };
  if (handles.length === 0) return NOTHING_TO_MOVE;
  return {
    kind: "commit",
    events: [{ type: "handles_moved", fromFrameId, toFrameId, handles }],
  };
}

/** Decides the first step of a transfer: the intent, for all grants or none. */
export function decideBegin(
  state: GrantsState,
  command: CommandOf<"begin_transfer">,
): GrantsDecision {
  const { fromFrameId, toSessionId, toFrameId, processIds, solePrefixes } = command;
  const handles = movableHandles(state, fromFrameId, processIds);
  if ("reason" in handles) return { kind: "refuse", refusal: handles };
  if (handles.length === 0) return NOTHING_TO_MOVE;
  const serial = state.lastSerial + 1;
  const event: GrantsEvent = {
    type: "transfer_begun",
    serial,
    fromFrameId,
    toSessionId,
    toFrameId,
    handles,
    ...(solePrefixes === undefined ? {} : { solePrefixes }),
  };
  return { kind: "commit", events: [event] };
}

/**
 * Decides the second step at the target. What was answered before is answered as the first time,
 * whatever happened since (G5): so a refusal is committed, too, unless it can never change. A
 * deleted session takes nothing new; a name that is taken stays with its process (G8).
 */
export function decideAccept(
  state: GrantsState,
  command: CommandOf<"accept_transfer">,
): GrantsDecision {
  const { fromSessionId, serial, settledBelow, toFrameId, handles, begunAt } = command;
  const { soleNames = [] } = command;
  const former = formerVerdictOn(state, fromSessionId, serial);
  const verdict = former ?? (state.phase === "deleted" ? "deleted" : undefined);
  if (verdict !== undefined) return { kind: "answer", reply: { type: "verdict", verdict } };
  const own = handles.map(({ processId }) => processId);
  const isTaken = soleNames.some((name) => nameHolder(state, toFrameId, name, own) !== undefined);
  if (isTaken) {
    return { kind: "commit", events: [{ type: "transfer_declined", fromSessionId, serial }] };
  }
  const event: GrantsEvent = {
    type: "transfer_accepted",
    fromSessionId,
    serial,
    settledBelow,
    toFrameId,
    handles,
    grantedAt: begunAt,
  };
  return { kind: "commit", events: [event] };
}

/** Decides the third step at the source: the grants have left, or are back. */
export function decideSettle(
  state: GrantsState,
  command: CommandOf<"settle_transfer">,
): GrantsDecision {
  const { serial, verdict } = command;
  if (!state.transfers.has(serial)) {
    return { kind: "answer", reply: { type: "done", changed: false } };
  }
  const type = verdict === "accepted" ? "transfer_finished" : "transfer_rolled_back";
  return { kind: "commit", events: [{ type, serial }] };
}
