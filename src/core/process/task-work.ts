/**
 * What the state of a task leaves to be done, as data: its scope is to be granted, whoever runs it
 * is to be told, its grace is over. Whoever drives it may do everything twice.
 */
import type { SessionId, TimeMs } from "../shared/ids.ts";
import { ROLL_FORWARD_AFTER_MS } from "../shared/roll-forward.ts";
import type { ProcessState } from "./state.ts";
import type { TaskNotice } from "./task.ts";

/** Open work of a task. */
export interface TaskWork {
  /** The session was never granted the task. */
  readonly needsGrant: boolean;
  /** Nobody ended it within the grace. */
  readonly isAbortDue: boolean;
  readonly notice: TaskNotice | null;
}

/** Whether a task has yet to be granted: its session is among the holders for good once it was. */
export function needsGrant({ task, holders }: ProcessState): boolean {
  return task !== null && !holders.has(task.sessionId);
}

/** What is open at a time; undefined when nothing is. */
export function taskWorkOf(state: ProcessState, nowMs: TimeMs): TaskWork | undefined {
  const { task } = state;
  if (task === null || state.prunedAt !== null) return undefined;
  const { notice, abortAt } = task;
  const isAbortDue = abortAt !== null && abortAt <= nowMs;
  const work = { needsGrant: needsGrant(state), isAbortDue, notice };
  return work.needsGrant || isAbortDue || notice !== null ? work : undefined;
}

/** When any replica should take up the open work of a task; undefined when there is none. */
export function taskDueAt(state: ProcessState): TimeMs | undefined {
  const { task, createdAt } = state;
  if (task === null) return undefined;
  const dueAt = Math.min(
    needsGrant(state) ? createdAt + ROLL_FORWARD_AFTER_MS : Infinity,
    task.notice === null ? Infinity : task.notice.since + ROLL_FORWARD_AFTER_MS,
    task.abortAt ?? Infinity,
  );
  return dueAt === Infinity ? undefined : dueAt;
}

/** Whether a session that closes takes a live task along, which it looks after. */
export function isClosedWith(state: ProcessState, sessionId: SessionId): boolean {
  const isWanted = state.registration?.task?.closePolicy === "cancel";
  return isWanted && state.end === null && sessionsRunning(state).includes(sessionId);
}

/** Whether a session that closed for this reason asked its task to cancel. */
export function wasClosedFor(
  { registration, cancelRequest, end }: ProcessState,
  reason: string,
): boolean {
  const isWanted = registration?.task?.closePolicy === "cancel";
  return isWanted && end === null && cancelRequest?.reason === reason;
}

/**
 * The sessions whose executors may run a task: the one that looks after it, as long as it has a
 * grant; while a transfer is being completed, all that have one.
 */
export function sessionsRunning(state: ProcessState): readonly SessionId[] {
  const { task, holders } = state;
  if (task === null) return [];
  const held = [...holders.entries()].flatMap(([id, mark]) => (mark.held ? [id] : []));
  return held.includes(task.sessionId) || held.length === 0 ? [task.sessionId] : held;
}
