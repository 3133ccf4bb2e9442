/**
 * What is said in the stream of a runtime about the background tasks of its session, so that the
 * executor that holds the runtime hears of it, at whatever replica it is attached. The tasks
 * themselves are processes; the fold of the runtime ignores all this.
 */
import type { Decision } from "../shared/aggregate.ts";
import { processIdOf } from "../shared/ids.ts";
import { isJsonObject } from "../shared/json.ts";
import type { RuntimeCommand, RuntimeReply } from "./commands.ts";
import type { RuntimeEvent } from "./events.ts";
import { notRegistered, refused, refusedByTable } from "./refusals.ts";
import type { RuntimeState } from "./state.ts";
import { verdictOf } from "./table.ts";
import type { TaskAnnouncement, TaskControlKind } from "./task-control.ts";

/** Family of the codes of such events; clients cannot publish them. */
export const TASK_FAMILY = "task";

const CONTROLS: Readonly<Record<string, TaskControlKind>> = {
  [`${TASK_FAMILY}.cancel_task`]: "cancel_task",
  [`${TASK_FAMILY}.stop_monitor`]: "stop_monitor",
  [`${TASK_FAMILY}.abort_task`]: "abort_task",
};

/** Decides what is said: everything, while the runtime is there to be told. */
export function decideAnnounceTask(
  state: RuntimeState,
  command: Extract<RuntimeCommand, { readonly type: "announce_task" }>,
): Decision<RuntimeEvent, RuntimeReply> {
  if (state.registration !== "registered") return refused(notRegistered(state));
  const verdict = verdictOf(state, "publish_event");
  if (verdict === "RUNTIME_DESTROYED") return refused(refusedByTable(state, verdict));
  const { control, taskId, processId, reason } = command.announcement;
  const event: RuntimeEvent = {
    type: "event_published",
    eventId: `${processId}.${control}`,
    eventCode: `${TASK_FAMILY}.${control}`,
    payload: { taskId, processId, ...(reason === undefined ? {} : { reason }) },
    causationId: `process:${processId}`,
  };
  return { kind: "commit", events: [event] };
}

/** What an event says of a task; undefined when it is about something else. */
export function announcementOf(event: RuntimeEvent): TaskAnnouncement | undefined {
  if (event.type !== "event_published") return undefined;
  const control = CONTROLS[event.eventCode];
  const { payload } = event;
  if (control === undefined || !isJsonObject(payload)) return undefined;
  const { taskId, processId, reason } = payload;
  if (typeof taskId !== "string" || typeof processId !== "string") return undefined;
  const because = typeof reason === "string" ? { reason } : {};
  return { control, taskId, processId: processIdOf(processId), ...because };
}
