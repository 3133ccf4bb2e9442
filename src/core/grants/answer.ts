/**
 * The reply to a command, read from the events that were committed for it. The same function
 * answers a repeated call from the commit of the first one, so it finds the call's own event among
 * those of a whole commit.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import type { ProcessId } from "../shared/ids.ts";
import type { GrantedHandle, GrantsCommand, GrantsReply } from "./commands.ts";
import type { GrantsEvent, GrantsEventType } from "./events.ts";
import type { FrameId, MovedHandle } from "./state.ts";

type EventOf<Type extends GrantsEventType> = Extract<GrantsEvent, { readonly type: Type }>;
type CommandOf<Type extends GrantsCommand["type"]> = Extract<
  GrantsCommand,
  { readonly type: Type }
>;

function find<Type extends GrantsEventType>(
  events: readonly GrantsEvent[],
  type: Type,
  matches: (event: EventOf<Type>) => boolean = () => true,
): EventOf<Type> {
  const isWanted = (event: GrantsEvent): event is EventOf<Type> => event.type === type;
  const found = events.filter(isWanted).find(matches);
  if (found === undefined) throw new FoldError(`the commit holds no ${type} of this call`);
  return found;
}

function answerGrant(
  command: CommandOf<"grant_handle">,
  events: readonly GrantsEvent[],
): GrantsReply {
  const { frameId, processId } = command;
  const { descriptor, grantedAt, created } = find(events, "handle_granted", (event) => {
    return event.frameId === frameId && event.processId === processId;
  });
  const handle = { frameId, processId, descriptor, grantedAt };
  return { type: "granted", handle, created };
}

function handlesOf(
  handles: readonly MovedHandle[],
  frameId: FrameId,
  at: EventPosition,
): readonly GrantedHandle[] {
  return handles.map((handle) => ({ ...handle, frameId, grantedAt: at.at }));
}

function carries(handles: readonly MovedHandle[], processIds: readonly ProcessId[]): boolean {
  const isAsked = handles.every(({ processId }, index) => processId === processIds[index]);
  return isAsked && handles.length === processIds.length;
}

function answerMove(
  command: CommandOf<"move_handles">,
  events: readonly GrantsEvent[],
  at: EventPosition,
): GrantsReply {
  const event = find(events, "handles_moved", ({ fromFrameId, toFrameId, handles }) => {
    const isBetween = fromFrameId === command.fromFrameId && toFrameId === command.toFrameId;
    return isBetween && carries(handles, command.processIds);
  });
  return { type: "moved", handles: handlesOf(event.handles, event.toFrameId, at) };
}

function answerBegin(
  command: CommandOf<"begin_transfer">,
  events: readonly GrantsEvent[],
  at: EventPosition,
): GrantsReply {
  const event = find(events, "transfer_begun", ({ fromFrameId, toSessionId, handles }) => {
    const isBetween = fromFrameId === command.fromFrameId && toSessionId === command.toSessionId;
    return isBetween && carries(handles, command.processIds);
  });
  const { serial, toFrameId } = event;
  return { type: "moved", handles: handlesOf(event.handles, toFrameId, at), serial };
}

/** The reply to a command whose events are committed. */
export function answer(
  command: GrantsCommand,
  events: readonly GrantsEvent[],
  at: EventPosition,
): GrantsReply {
  switch (command.type) {
    case "grant_handle":
      return answerGrant(command, events);
    case "revoke_handle":
      return { type: "revoked", revoked: true };
    case "move_handles":
      return answerMove(command, events, at);
    case "begin_transfer":
      return answerBegin(command, events, at);
    case "accept_transfer":
      return { type: "verdict", verdict: "accepted" };
    case "delete_session":
      return { type: "deleted", isFirst: true };
    case "settle_transfer":
    case "confirm_holds":
    case "defer_work":
      return { type: "done", changed: true };
  }
}
