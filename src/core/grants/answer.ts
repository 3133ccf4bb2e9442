/**
 * The reply to a command, read from the events that were committed for it. The same function
 * answers a repeated call from the commit of the first one.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import type { GrantedHandle, GrantsCommand, GrantsReply, TransferVerdict } from "./commands.ts";
import type { GrantsEvent, GrantsEventType } from "./events.ts";
import type { FrameId, MovedHandle } from "./state.ts";

type EventOf<Type extends GrantsEventType> = Extract<GrantsEvent, { readonly type: Type }>;

function find<Type extends GrantsEventType>(
  events: readonly GrantsEvent[],
  type: Type,
): EventOf<Type> {
  const isWanted = (event: GrantsEvent): event is EventOf<Type> => event.type === type;
  const found = events.find(isWanted);
  if (found === undefined) throw new FoldError(`the commit holds no ${type} of this call`);
  return found;
}

function handlesOf(
  handles: readonly MovedHandle[],
  frameId: FrameId,
  at: EventPosition,
): readonly GrantedHandle[] {
  return handles.map((handle) => ({ ...handle, frameId, grantedAt: at.at }));
}

function verdictIn(events: readonly GrantsEvent[]): TransferVerdict {
  return events.some(({ type }) => type === "transfer_declined") ? "name_taken" : "accepted";
}

/** The reply to a command whose events are committed. */
export function answer(
  command: GrantsCommand,
  events: readonly GrantsEvent[],
  at: EventPosition,
): GrantsReply {
  switch (command.type) {
    case "grant_handle": {
      const { frameId, processId, descriptor, grantedAt, created } = find(events, "handle_granted");
      return { type: "granted", handle: { frameId, processId, descriptor, grantedAt }, created };
    }
    case "revoke_handle":
      return { type: "revoked", revoked: true };
    case "move_handles": {
      const { handles, toFrameId } = find(events, "handles_moved");
      return { type: "moved", handles: handlesOf(handles, toFrameId, at) };
    }
    case "begin_transfer": {
      const { handles, toFrameId, serial } = find(events, "transfer_begun");
      return { type: "moved", handles: handlesOf(handles, toFrameId, at), serial };
    }
    case "accept_transfer":
      return { type: "verdict", verdict: verdictIn(events) };
    case "delete_session":
      return { type: "deleted", isFirst: true };
    case "settle_transfer":
    case "confirm_holds":
    case "defer_work":
      return { type: "done", changed: true };
  }
}
