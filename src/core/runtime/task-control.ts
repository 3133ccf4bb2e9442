/** What executors are told about the background tasks of the session whose runtime they hold. */
import type { ProcessId } from "../shared/ids.ts";

/**
 * `cancel_task`: end it; `stop_monitor`: the same, for a monitor; `abort_task`: it is over, drop
 * it.
 */
export type TaskControlKind = "cancel_task" | "stop_monitor" | "abort_task";

/** What is said of a task. */
export interface TaskAnnouncement {
  readonly control: TaskControlKind;
  /** Id of the task within its session. */
  readonly taskId: string;
  readonly processId: ProcessId;
  readonly reason?: string;
}
