/** Background tasks, as short as a case needs them. */
import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import {
  type BackgroundTask,
  type TaskDescriptionSchema,
  TaskKind,
  TaskVisibility,
} from "../../../gen/keelson/task/v1/messages_pb.ts";
import type { CaseClients } from "./deployment.ts";

/** The fields of a description. */
export type Description = Exclude<
  MessageInitShape<typeof TaskDescriptionSchema>,
  MessageShape<typeof TaskDescriptionSchema>
>;

/** Makes sessions known. */
export async function openSessions(
  { runtimes }: CaseClients,
  ...sessionIds: readonly string[]
): Promise<void> {
  for (const runtimeId of sessionIds) await runtimes.ensureRuntime({ runtimeId });
}

/** The request for a managed task that is run in its session. */
export function managed(sessionId: string, taskId: string, changes: Description = {}) {
  return {
    sessionId,
    task: { taskId, kind: TaskKind.SUBAGENT, producer: "suite", ...changes },
    visibility: TaskVisibility.MANAGED,
    runner: { case: "session", value: {} },
  } as const;
}

/** The request for a hidden task that is run in its session. */
export function hidden(sessionId: string, taskId: string, changes: Description = {}) {
  return { ...managed(sessionId, taskId, changes), visibility: TaskVisibility.HIDDEN } as const;
}

/** The request for an external task. */
export function recorded(sessionId: string, taskId: string, changes: Description = {}) {
  return {
    sessionId,
    task: { taskId, kind: TaskKind.OTHER, producer: "suite", ...changes },
  } as const;
}

/** The task that an answer holds. */
export function taskIn({ task }: { readonly task?: BackgroundTask | undefined }): BackgroundTask {
  if (task === undefined) throw new Error("answered without a task");
  return task;
}

/** The task as it is. */
export async function readTask(
  { tasks }: CaseClients,
  sessionId: string,
  taskId: string,
): Promise<BackgroundTask> {
  return taskIn(await tasks.getTask({ sessionId, taskId }));
}

/** The ids of the listed tasks of a session. */
export async function listedTasks(
  { tasks }: CaseClients,
  sessionId: string,
): Promise<readonly string[]> {
  return (await tasks.listTasks({ sessionId })).tasks.map(({ taskId }) => taskId);
}
