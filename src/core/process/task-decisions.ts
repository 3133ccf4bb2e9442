/**
 * What may happen to a task while it lives: reports of whoever runs it, a move to another session,
 * the wish that it be cancelled and the abort after the grace. A task that ended does not change.
 * Invariants, cited by tests:
 *   T1  a task that ended stays as it ended
 *   T2  whoever runs a task is told of one wish to cancel it, and of its abort, once each
 *   T3  a task is aborted at most once, only after a wish to cancel it, never before its grace is
 *       over
 */
import type { DecideContext } from "../shared/aggregate.ts";
import type { TimeMs } from "../shared/ids.ts";
import { eventOfKey, type ProcessDecision } from "./append.ts";
import { cancelEvent, cancelKey } from "./cancellation.ts";
import type { ProcessCommand } from "./commands.ts";
import { TERMINAL_EVENT_TYPES } from "./core-types.ts";
import type { ProcessStreamEvent } from "./events.ts";
import { notATask, refused, refusedByTable, replayKeyConflict } from "./refusals.ts";
import type { ProcessState } from "./state.ts";
import { verdictOf } from "./table.ts";
import { abortTimeOf, CANCEL_GRACE_MS } from "./task.ts";

type CommandOf<Type extends ProcessCommand["type"]> = Extract<
  ProcessCommand,
  { readonly type: Type }
>;

const UNCHANGED: ProcessDecision = { kind: "answer", reply: { type: "done", changed: false } };

/** Said by the output of an aborted task. */
const ABORTED = "aborted: it did not end by itself within the grace";

function committed(...events: readonly ProcessStreamEvent[]): ProcessDecision {
  return events.length === 0 ? UNCHANGED : { kind: "commit", events };
}

/** Decides what whoever runs a task reports of it; an ended one does not change. */
export function decideReportTask(
  state: ProcessState,
  command: CommandOf<"report_task">,
): ProcessDecision {
  const { processId, report } = command;
  const barred = refusedByTable(state, "report_task", processId);
  if (barred !== undefined) return refused(barred);
  if (state.task === null) return refused(notATask(state));
  const isLive = verdictOf(state, "report_task") === "allow";
  if (!isLive || state.task.liveState === report) return UNCHANGED;
  return committed({ type: "task_reported", report });
}

/**
 * Decides that another session looks after a task. A message that comes late, when yet another one
 * that holds the task does, changes nothing.
 */
export function decideTransferTask(
  state: ProcessState,
  command: CommandOf<"transfer_task">,
): ProcessDecision {
  const { processId, fromSessionId, sessionId } = command;
  const barred = refusedByTable(state, "transfer_task", processId);
  if (barred !== undefined) return refused(barred);
  if (state.task === null) return refused(notATask(state));
  const present = state.task.sessionId;
  const isOthers = present !== fromSessionId && state.holders.get(present)?.held === true;
  if (isOthers || present === sessionId) return UNCHANGED;
  return committed({ type: "task_transferred", sessionId });
}

/** What has the replay key of the first wish to cancel a task, if it is to be made now. */
function wishOfKey(state: ProcessState, reason: string | null, context: DecideContext) {
  if (state.cancelRequest !== null) return undefined;
  return eventOfKey(state, cancelKey(state.processId, reason), context);
}

/** The first wish, and an abort that comes earlier than the one that is due. */
function cancellation(
  state: ProcessState,
  reason: string | null,
  abortAt: TimeMs | undefined,
): readonly ProcessStreamEvent[] {
  const events: ProcessStreamEvent[] = [];
  if (state.cancelRequest === null) events.push(cancelEvent(state, reason));
  if (abortAt !== undefined && abortAt < (state.task?.abortAt ?? Infinity)) {
    events.push({ type: "task_abort_scheduled", abortAt });
  }
  return events;
}

/** Decides a wish to cancel a task: the first one is told, an earlier end of the grace counts. */
export function decideCancelTask(
  state: ProcessState,
  command: CommandOf<"cancel_task">,
  context: DecideContext,
): ProcessDecision {
  const { processId, reason, graceMs, isForced } = command;
  const barred = refusedByTable(state, "cancel_task", processId);
  if (barred !== undefined) return refused(barred);
  const registered = state.registration?.task;
  if (state.task === null || registered === undefined) return refused(notATask(state));
  if (verdictOf(state, "cancel_task") !== "allow") return UNCHANGED;
  const other = wishOfKey(state, reason, context);
  if (other !== undefined) return refused(replayKeyConflict(state, other));
  const policy = isForced === true ? "abort_local" : registered.cancelPolicy;
  const abortAt = abortTimeOf(policy, context.now, graceMs);
  return committed(...cancellation(state, reason, abortAt));
}

/** What a closing session does to its live task; see `isClosedWith`. */
export function closingEvents(
  state: ProcessState,
  reason: string,
  context: DecideContext,
): readonly ProcessStreamEvent[] {
  const policy = state.registration?.task?.cancelPolicy;
  if (policy === undefined || wishOfKey(state, reason, context) !== undefined) return [];
  return cancellation(state, reason, abortTimeOf(policy, context.now, CANCEL_GRACE_MS));
}

/** Decides whether the grace of a task is over, and ends it then. */
export function decideAbortTask(state: ProcessState, context: DecideContext): ProcessDecision {
  if (verdictOf(state, "abort_task") !== "allow") return UNCHANGED;
  const abortAt = state.task?.abortAt ?? null;
  if (abortAt === null || abortAt > context.now) return UNCHANGED;
  return committed({
    type: "process_event_appended",
    sequence: state.lastSequence + 1,
    eventType: TERMINAL_EVENT_TYPES.cancelled,
    payload: { await_output: { type: "cancelled", message: ABORTED } },
    bodyHash: "",
    terminal: "cancelled",
    aborted: true,
  });
}

/** Decides that whoever runs a task was told. */
export function decideSettleTaskNotice(
  state: ProcessState,
  { control }: CommandOf<"settle_task_notice">,
): ProcessDecision {
  return state.task?.notice?.control === control
    ? committed({ type: "task_notice_settled", control })
    : UNCHANGED;
}
