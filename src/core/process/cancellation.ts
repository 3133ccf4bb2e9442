/**
 * Wishes that a process end: to cancel it, which tells whoever works on it, and to abandon it,
 * which ends it once it is certain that nobody does. Time alone is never certain (P7).
 */
import type { DecideContext } from "../shared/aggregate.ts";
import type { TimeMs } from "../shared/ids.ts";
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

type AbandonedState = Pick<ProcessState, "processId" | "firstStart" | "lastSequence">;

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

/** The end of a process that somebody wished to abandon and that nobody works on. */
export function abandonedByWish(
  { processId, firstStart, lastSequence }: AbandonedState,
  foundAt: TimeMs,
): EventAppended {
  const eventType = TERMINAL_EVENT_TYPES.abandoned;
  const { ownerId, incarnationId } = firstStart?.owner ?? {};
  const owner = ownerId === undefined ? {} : { owner: { ownerId, incarnationId } };
  const output = { type: "abandoned", writer: "reconciled_request", ...owner, foundAt };
  return {
    type: "process_event_appended",
    sequence: lastSequence + 1,
    eventType,
    payload: { await_output: output },
    bodyHash: "",
    replayKey: terminalKey(processId, eventType),
    terminal: "abandoned",
    authority: { type: "reconciled_abandon" },
  };
}

/**
 * What follows at once from a wish to abandon an owner-bound process that was started, and that
 * nobody holds any more: nobody may ever run it, so the wish is carried out.
 */
export function reconciledEnd(
  state: AbandonedState & Pick<ProcessState, "registration">,
  isWished: boolean,
  foundAt: TimeMs,
): readonly ProcessStreamEvent[] {
  const isLost = state.registration?.disposition === "owner_bound" && state.firstStart !== null;
  return isWished && isLost ? [abandonedByWish(state, foundAt)] : [];
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
