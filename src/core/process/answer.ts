/**
 * The reply to a command, read from the events that were committed for it; the same function
 * answers a call repeated by its request id.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import type { ProcessCommand, ProcessReply } from "./commands.ts";
import type { ProcessStreamEvent, ProcessStreamEventType } from "./events.ts";
import type { EventPlace } from "./terms.ts";

type EventOf<Type extends ProcessStreamEventType> = Extract<
  ProcessStreamEvent,
  { readonly type: Type }
>;

/** The call's own event of a type, with its index within the call. */
function find<Type extends ProcessStreamEventType>(
  events: readonly ProcessStreamEvent[],
  type: Type,
): { readonly event: EventOf<Type>; readonly index: number } | undefined {
  const isWanted = (event: ProcessStreamEvent): event is EventOf<Type> => event.type === type;
  const event = events.find(isWanted);
  return event === undefined ? undefined : { event, index: events.indexOf(event) };
}

function appendedPlace(events: readonly ProcessStreamEvent[], at: EventPosition): EventPlace {
  const found = find(events, "process_event_appended");
  if (found === undefined) throw new FoldError("the commit holds no appended event of this call");
  const { sequence } = found.event;
  return { sequence, revision: at.revision, eventIndex: at.index + found.index };
}

function answerClaim(events: readonly ProcessStreamEvent[], at: EventPosition): ProcessReply {
  const claimed = find(events, "process_lease_claimed")?.event;
  if (claimed !== undefined) {
    const { generation, leaseToken, owner, ttlMs } = claimed;
    const lease = { generation, leaseToken, owner, ttlMs, claimedAt: at.at };
    return { type: "leased", lease, extended: false };
  }
  const extended = find(events, "process_lease_extended")?.event;
  if (extended === undefined) throw new FoldError("the commit holds no lease of this call");
  const { generation, leaseToken, owner, ttlMs, claimedAt } = extended;
  return {
    type: "leased",
    lease: { generation, leaseToken, owner, ttlMs, claimedAt },
    extended: true,
  };
}

function answerHold(events: readonly ProcessStreamEvent[]): ProcessReply {
  const changed = events.some(({ type }) => type === "holder_added" || type === "holder_removed");
  const cancelRequested = find(events, "process_event_appended") !== undefined;
  return { type: "hold", changed, cancelRequested };
}

/** The reply to a command whose events are committed. */
export function answer(
  command: ProcessCommand,
  events: readonly ProcessStreamEvent[],
  at: EventPosition,
): ProcessReply {
  switch (command.type) {
    case "register_process":
      return { type: "registered", created: true };
    case "append_event":
    case "request_cancel":
    case "complete_process":
      return { type: "appended", place: appendedPlace(events, at), replayed: false };
    case "claim_lease":
      return answerClaim(events, at);
    case "release_lease":
    case "lapse_lease":
      return { type: "released", released: true };
    case "hold":
    case "release_hold":
      return answerHold(events);
    case "prune_process":
      return {
        type: "pruned",
        pruned: true,
        eventCount: find(events, "process_pruned")?.event.eventCount ?? 0,
      };
    case "set_external_ref":
    case "set_wait":
    case "request_abandon":
    case "affirm_process":
    case "reconcile_abandon":
    case "ack_wake":
    case "settle_wake":
    case "defer_wake":
    case "report_task":
    case "cancel_task":
    case "abort_task":
    case "settle_task_notice":
    case "transfer_task":
      return { type: "done", changed: true };
  }
}
