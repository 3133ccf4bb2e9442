/**
 * The task facet: a background task is a process that a session started and looks after. Owns the
 * task's live state; its end is the end of the process and is not decided here.
 */
import type { SessionId } from "../shared/ids.ts";
import type { TerminalStatus } from "./terms.ts";

/** What kind of work a task is; monitors are told to stop, not to cancel. */
export type TaskKind = "monitor" | "subagent" | "observer" | "other";

/** `hidden`: unlisted; `managed`: run by an executor or a worker; `external`: recorded only. */
export type TaskVisibility = "hidden" | "managed" | "external";

/** How whoever runs a task is asked to end it. */
export type TaskCancelPolicy = "cooperative" | "abort_local" | "external";

/** What becomes of a live task when its session closes. */
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

/** The changeable part of the facet. */
export interface TaskFacet {
  readonly liveState: TaskLiveState;
  /** Session that looks after the task now; changed by a transfer. */
  readonly sessionId: SessionId;
}

/** The observable state of a task. */
export type TaskStateName =
  | TaskLiveState
  | "cancel_requested"
  | Exclude<TerminalStatus, "abandoned">;

/** The facet of a task that was just registered; an external one runs already. */
export function initialFacet(task: TaskRegistration): TaskFacet {
  const liveState = task.visibility === "external" ? "running" : "pending";
  return { liveState, sessionId: task.sessionId };
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
