/**
 * The task facet: a background task is a process that a session started and looks after. Owns the
 * task's live state; its end is the end of the process and is not decided here.
 */
import type { SessionId, TimeMs } from "../shared/ids.ts";
import type { TerminalStatus } from "./terms.ts";

/** What kind of work a task is; monitors are told to stop, not to cancel. */
export type TaskKind = "monitor" | "subagent" | "observer" | "other";

/** `hidden`: unlisted; `managed`: run by an executor or a worker; `external`: recorded only. */
export type TaskVisibility = "hidden" | "managed" | "external";

/**
 * How a task is ended that somebody wants cancelled: `cooperative`: whoever runs it is asked, and
 * after the grace it is aborted; `abort_local`: aborted at once; `external`: only asked.
 */
export type TaskCancelPolicy = "cooperative" | "abort_local" | "external";

/** How long a task may take to end by itself when whoever wants it cancelled does not say. */
export const CANCEL_GRACE_MS = 10_000;

/**
 * What becomes of a live task when its session closes for good: it goes on, it is cancelled, or it
 * goes to the session that follows, if one does.
 */
export type TaskClosePolicy = "keep" | "cancel" | "transfer";

/** Which try of the same work this is. */
export interface TaskAttempt {
  /** From 1. */
  readonly attempt: number;
  readonly attemptsMax?: number;
  readonly idempotencyKey?: string;
}

/** The immutable part of the facet. */
export interface TaskRegistration {
  /** Id of the task within its session; the process id is another one. */
  readonly taskId: string;
  readonly kind: TaskKind;
  readonly visibility: TaskVisibility;
  readonly producer: string;
  /** Session that started the task. */
  readonly sessionId: SessionId;
  readonly parentTaskId?: string;
  readonly childSessionId?: SessionId;
  readonly cancelPolicy: TaskCancelPolicy;
  readonly closePolicy: TaskClosePolicy;
  readonly attempt: TaskAttempt;
}

/** What is known of a live task. */
export type TaskLiveState = "pending" | "running" | "waiting";

/** What whoever runs a live task may report of it. */
export type TaskReport = Exclude<TaskLiveState, "pending">;

/** What whoever runs a task in its session is told: to end it, or that it is over already. */
export type TaskControlName = "cancel" | "abort";

/** Something that is still to be told. */
export interface TaskNotice {
  readonly control: TaskControlName;
  readonly since: TimeMs;
}

/** The changeable part of the facet. */
export interface TaskFacet {
  readonly liveState: TaskLiveState;
  /** Session that looks after the task now; changed by a transfer. */
  readonly sessionId: SessionId;
  /** When the task is aborted unless it ended before; null while nobody set a time. */
  readonly abortAt: TimeMs | null;
  /** What is to be told to whoever runs it in its session; null when nothing is. */
  readonly notice: TaskNotice | null;
}

/** The observable state of a task. */
export type TaskStateName =
  | TaskLiveState
  | "cancel_requested"
  | Exclude<TerminalStatus, "abandoned">;

/** The facet of a task that was just registered; an external one runs already. */
export function initialFacet(task: TaskRegistration): TaskFacet {
  const liveState = task.visibility === "external" ? "running" : "pending";
  return { liveState, sessionId: task.sessionId, abortAt: null, notice: null };
}

/** What an event means for a task. */
export interface TaskHappening {
  /** It is the first wish to cancel. */
  readonly isCancel: boolean;
  /** It ended the task. */
  readonly isEnd: boolean;
  /** It ended the task because the grace was over. */
  readonly isAbort: boolean;
}

/**
 * The facet after an event. Workers learn of a wish by the events of the process and of an abort by
 * the loss of their lease; whoever runs a task in its session (`isOutside`) is told.
 */
export function facetAfter(
  facet: TaskFacet,
  { isCancel, isEnd, isAbort }: TaskHappening,
  isOutside: boolean,
  at: TimeMs,
): TaskFacet {
  if (isEnd) {
    const notice = isAbort && isOutside ? { control: "abort" as const, since: at } : null;
    return { ...facet, abortAt: null, notice };
  }
  return isCancel && isOutside ? { ...facet, notice: { control: "cancel", since: at } } : facet;
}

/** When a task that is wanted cancelled is aborted; undefined when it is only asked. */
export function abortTimeOf(
  policy: TaskCancelPolicy,
  nowMs: TimeMs,
  graceMs: number,
): TimeMs | undefined {
  switch (policy) {
    case "cooperative":
      return nowMs + graceMs;
    case "abort_local":
      return nowMs;
    case "external":
      return undefined;
  }
}

/** The observable state: the end, then a wish to cancel, then what was reported. */
export function taskStateOf(
  facet: TaskFacet,
  end: TerminalStatus | undefined,
  isCancelRequested: boolean,
): TaskStateName {
  if (end !== undefined) return end === "abandoned" ? "failed" : end;
  return isCancelRequested ? "cancel_requested" : facet.liveState;
}
