/** What calls about background tasks begin and end with: which task of which session, as shown. */
import type { ProcessState } from "../core/process/state.ts";
import { type Revision, sessionIdOf } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import type { TaskCalls } from "../flows/task-calls.ts";
import type { FoundTask, TaskScope } from "../flows/task-handles.ts";
import type { BackgroundTask } from "../../gen/keelson/task/v1/messages_pb.ts";
import type { Caller } from "./caller.ts";
import { checkId, type FieldCheck, violate } from "./codec/field-check.ts";
import { taskToProto } from "./codec/task.ts";
import { readOutput } from "./stored-processes.ts";

/** Most tasks that one call may name. */
const TASK_IDS_MAX = 1_000;

/** The session that a request names. */
export function checkScope(
  check: FieldCheck,
  { namespace }: Pick<Caller, "namespace">,
  sessionId: string,
  field = "session_id",
): TaskScope {
  return { namespace, sessionId: sessionIdOf(checkId(check, sessionId, field)) };
}

/** The tasks that a request names. */
export function checkTaskIds(
  check: FieldCheck,
  taskIds: readonly string[],
  field: string,
): readonly string[] {
  if (taskIds.length > TASK_IDS_MAX) {
    violate(check, field, `has ${taskIds.length} ids, at most ${TASK_IDS_MAX} are allowed`);
    return [];
  }
  return taskIds.map((taskId, index) => checkId(check, taskId, `${field}[${index}]`));
}

/** The task that a request names. Throws TASK_NOT_FOUND. */
export async function foundTask(
  tasks: Pick<TaskCalls, "find">,
  scope: TaskScope,
  taskId: string,
): Promise<FoundTask> {
  const task = await tasks.find(scope, taskId);
  if (task !== undefined) return task;
  const { sessionId } = scope;
  const message = "The session knows no background task of this id";
  throw new RefusedError(refusalOf("TASK_NOT_FOUND", message, { sessionId, taskId }));
}

/** A task with its output, as a commit left it or as it was found. */
export async function shownTask(
  streams: Pick<ProcessStreams, "commit">,
  { sessionId, stream }: Pick<FoundTask, "sessionId" | "stream">,
  fold: { readonly state: ProcessState; readonly revision: Revision },
): Promise<BackgroundTask> {
  return taskToProto(sessionId, fold, await readOutput(streams, stream, fold.state));
}

/** Whether a task is listed. */
export function isListed({ fold }: FoundTask): boolean {
  return fold.state.registration?.task?.visibility !== "hidden";
}

/** Whether a task has not ended. */
export function isLiveTask({ fold }: FoundTask): boolean {
  return fold.state.end === null;
}
