/**
 * The holder set: which sessions hold handles to the process. Each session's grants stream says so
 * with rising marks; of two marks the newer one counts, so late and repeated ones do no harm (P9).
 * The set is conservative: it says "held" before the grant is there and until it is gone.
 */
import type { DecideContext } from "../shared/aggregate.ts";
import { eventOfKey, type ProcessDecision } from "./append.ts";
import { cancelEvent, cancelKey } from "./cancellation.ts";
import type { HolderStanding, ProcessCommand } from "./commands.ts";
import type { ProcessStreamEvent } from "./events.ts";
import { limitExceeded, refused, refusedByTable } from "./refusals.ts";
import type { ProcessState } from "./state.ts";
import { closingEvents } from "./task-decisions.ts";
import { isClosedWith } from "./task-work.ts";

type CommandOf<Type extends ProcessCommand["type"]> = Extract<
  ProcessCommand,
  { readonly type: Type }
>;

/** Most sessions that may ever have held one process. */
const HOLDERS_MAX = 10_000;

const NOTHING_NEW: ProcessDecision = {
  kind: "answer",
  reply: { type: "hold", changed: false, cancelRequested: false },
};

/** How a process stands with those who hold handles to it. */
export function standingOf(state: ProcessState): HolderStanding {
  return { terminal: state.end !== null, holderCount: state.holderCount };
}

/** Decides that a session holds the process. */
export function decideHold(state: ProcessState, command: CommandOf<"hold">): ProcessDecision {
  const { processId, sessionId, mark } = command;
  const barred = refusedByTable(state, "hold", processId);
  if (barred !== undefined) return refused(barred);
  const held = state.holders.get(sessionId);
  if (held !== undefined && mark <= held.mark) return NOTHING_NEW;
  if (held === undefined && state.holders.size >= HOLDERS_MAX) {
    return refused(limitExceeded(state, "holdersMax", HOLDERS_MAX));
  }
  return { kind: "commit", events: [{ type: "holder_added", sessionId, mark }] };
}

/**
 * Decides that a session holds the process no longer. When the session closed for good, its task
 * ends if that is the task's close policy, and an orphan is asked to cancel if the caller wants it.
 */
export function decideReleaseHold(
  state: ProcessState,
  command: CommandOf<"release_hold">,
  context: DecideContext,
): ProcessDecision {
  const { processId, sessionId, mark, deletion } = command;
  const barred = refusedByTable(state, "release_hold", processId);
  if (barred !== undefined) return refused(barred);
  const entry = state.holders.get(sessionId);
  const isNews = entry === undefined || mark > entry.mark || (mark === entry.mark && entry.held);
  const events: ProcessStreamEvent[] = [];
  if (isNews) events.push({ type: "holder_removed", sessionId, mark });
  const others = state.holderCount - (isNews && entry?.held === true ? 1 : 0);
  const isOrphan = others === 0 && state.end === null;
  if (deletion !== undefined && isClosedWith(state, sessionId)) {
    events.push(...closingEvents(state, deletion.reason, context));
  } else if (deletion?.cancelOrphans === true && isOrphan) {
    const key = cancelKey(processId, deletion.reason);
    const isNew = eventOfKey(state, key, context) === undefined;
    if (isNew) events.push(cancelEvent(state, deletion.reason));
  }
  return events.length === 0 ? NOTHING_NEW : { kind: "commit", events };
}
