/**
 * Wishes that a process end: to cancel it, which tells whoever works on it, and to abandon it,
 * which ends it once it is certain that nobody does. Time alone is never certain (P7).
 */
import type { DecideContext } from "../shared/aggregate.ts";
import { eventOfKey, type ProcessDecision, replayed } from "./append.ts";
import type { ProcessCommand } from "./commands.ts";
import { CANCEL_REQUESTED, TERMINAL_EVENT_TYPES } from "./core-types.ts";
import type { EventAppended, ProcessStreamEvent } from "./events.ts";
import { refused, refusedByTable, replayKeyConflict } from "./refusals.ts";
import type { ProcessState } from "./state.ts";

type CommandOf<Type extends ProcessCommand["type"]> = Extract<
  ProcessCommand,
  { readonly type: Type }
>;

/** The replay key of a wish to cancel; the reason is part of it, so another one is another wish. */
export function cancelKey(processId: string, reason: string | null): string {
  const base = `process:${processId}:cancel_requested`;
  return reason === null ? base : `${base}:${reason}`;
}

/** The replay key of the event that ends a process by a core type. */
export function terminalKey(processId: string, eventType: string): string {
  return `process:${processId}:terminal:${eventType}`;
}

/** The event of a wish to cancel. */
export function cancelEvent(state: ProcessState, reason: string | null): EventAppended {
  return {
    type: "process_event_appended",
    sequence: state.lastSequence + 1,
    eventType: CANCEL_REQUESTED,
    payload: { reason },
    bodyHash: "",
    replayKey: cancelKey(state.processId, reason),
  };
}

/** Decides a wish to cancel; the status never changes by it. */
export function decideRequestCancel(
  state: ProcessState,
  command: CommandOf<"request_cancel">,
  context: DecideContext,
): ProcessDecision {
  const { processId, reason } = command;
  const barred = refusedByTable(state, "request_cancel", processId);
  if (barred !== undefined) return refused(barred);
  const existing = eventOfKey(state, cancelKey(processId, reason), context);
  if (existing === undefined) return { kind: "commit", events: [cancelEvent(state, reason)] };
  if (existing.eventType === CANCEL_REQUESTED) return replayed(existing);
  return refused(replayKeyConflict(state, existing));
}

/**
 * The end of an owner-bound process that was started, that nobody holds any more and that somebody
 * wished to abandon: nobody may ever run it, so the wish is carried out.
 */
export function reconciledEnd(
  state: Pick<ProcessState, "processId" | "registration" | "firstStart" | "lastSequence">,
  isWished: boolean,
  foundAt: number,
): readonly ProcessStreamEvent[] {
  const { processId, registration, firstStart, lastSequence } = state;
  if (!isWished || firstStart === null) return [];
  if (registration?.disposition !== "owner_bound") return [];
  const eventType = TERMINAL_EVENT_TYPES.abandoned;
  const { ownerId, incarnationId } = firstStart.owner;
  const output = {
    type: "abandoned",
    writer: "reconciled_request",
    owner: { ownerId, incarnationId },
    foundAt,
  };
  const event: EventAppended = {
    type: "process_event_appended",
    sequence: lastSequence + 1,
    eventType,
    payload: { await_output: output },
    bodyHash: "",
    replayKey: terminalKey(processId, eventType),
    terminal: "abandoned",
    authority: { type: "reconciled_abandon" },
  };
  return [event];
}

/** Decides a wish to abandon; the first one stays. */
export function decideRequestAbandon(
  state: ProcessState,
  command: CommandOf<"request_abandon">,
  context: DecideContext,
): ProcessDecision {
  const { processId, requestedBy, reason } = command;
  const barred = refusedByTable(state, "request_abandon", processId);
  if (barred !== undefined) return refused(barred);
  if (state.abandonRequest !== null) {
    return { kind: "answer", reply: { type: "done", changed: false } };
  }
  const wished: ProcessStreamEvent = {
    type: "abandon_requested",
    requestedBy,
    ...(reason === undefined ? {} : { reason }),
  };
  const end = state.lease === null ? reconciledEnd(state, true, context.now) : [];
  return { kind: "commit", events: [wished, ...end] };
}
