/**
 * Drives what the state of a task leaves to be done: its session is granted it, whoever runs it in
 * the session is told what to do, it is aborted when its grace is over. Every step may be done
 * twice; the state of the process says what is still open.
 */
import type { ProcessState } from "../core/process/state.ts";
import type { TaskControlName, TaskNotice } from "../core/process/task.ts";
import { sessionsRunning, taskWorkOf } from "../core/process/task-work.ts";
import { runtimeAggregate } from "../core/runtime/aggregate.ts";
import type { TaskAnnouncement } from "../core/runtime/task-control.ts";
import type { SessionId, StreamName, TimeMs } from "../core/shared/ids.ts";
import type { RefusalReason } from "../core/shared/refusal.ts";
import type { OpenTaskControls } from "../dispatch/dispatcher.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import { streamName } from "../engine/stream-name.ts";
import {
  addressOf,
  flowEnvelope,
  grantsStreamOf,
  type GrantsStreams,
  isRefusedFor,
  processStreamOf,
} from "./flow-streams.ts";
import { keepsName, soleNameIn } from "./sole-names.ts";
import { taskDescriptor, taskHandlesOf, taskPrefixOf } from "./task-handles.ts";
import type { WorkDriver } from "./work-driver.ts";

/** What the flow works between. */
export interface TaskFlowOptions {
  readonly grants: Pick<GrantsStreams, "fresh" | "submit">;
  readonly processes: Pick<ProcessStreams, "fresh" | "submit">;
  readonly runtimes: Pick<RuntimeStreams, "submit">;
  /** Tells processes of the holds of sessions. */
  readonly holds: Pick<WorkDriver, "settle">;
  readonly nowMs: () => TimeMs;
}

/** Why a session is not granted its task, now or ever. */
const UNGRANTABLE: readonly RefusalReason[] = [
  "SESSION_DELETED",
  "LIMIT_EXCEEDED",
  "TASK_ALREADY_EXISTS",
];
/** Said to a task that no session can look after. */
const UNGRANTABLE_REASON = "its session cannot look after it";

/** What is said of a task to whoever runs it; undefined for a process that is no task. */
function announcementFor(
  state: ProcessState,
  control: TaskControlName,
): TaskAnnouncement | undefined {
  const task = state.registration?.task;
  if (task === undefined) return undefined;
  const { taskId, kind } = task;
  const reason = state.cancelRequest?.reason ?? "";
  const cancel = kind === "monitor" ? "stop_monitor" : "cancel_task";
  return {
    control: control === "abort" ? "abort_task" : cancel,
    taskId,
    processId: state.processId,
    ...(reason === "" ? {} : { reason }),
  };
}

/** Makes the drive of the flow: everything open about one task. */
export function makeTaskFlow(options: TaskFlowOptions): (stream: StreamName) => Promise<void> {
  const { grants, processes, runtimes, holds, nowMs } = options;

  /** A task that its session cannot be granted ends; nobody would ever look after it. */
  async function giveUp(stream: StreamName, state: ProcessState, sessionId: SessionId) {
    const { processId } = state;
    const cancel = {
      type: "cancel_task" as const,
      processId,
      reason: UNGRANTABLE_REASON,
      graceMs: 0,
      isForced: true as const,
    };
    await processes.submit(stream, flowEnvelope(cancel));
    // Below every mark of the session: it only says that the session was asked.
    const floor = { type: "release_hold" as const, processId, sessionId, mark: 0 };
    await processes.submit(stream, flowEnvelope(floor));
  }

  async function grantScope(stream: StreamName, state: ProcessState): Promise<void> {
    const taskId = state.registration?.task?.taskId;
    const sessionId = state.task?.sessionId;
    if (taskId === undefined || sessionId === undefined) return;
    const { processId } = state;
    const session = grantsStreamOf(addressOf(stream).namespace, sessionId);
    const descriptor = taskDescriptor(taskId);
    const soleName = await soleNameIn(options, session, taskPrefixOf(taskId), keepsName);
    const command = { type: "grant_handle" as const, frameId: "", processId, descriptor, soleName };
    try {
      await grants.submit(session, flowEnvelope(command));
    } catch (error) {
      if (!isRefusedFor(error, UNGRANTABLE)) throw error;
      await giveUp(stream, state, sessionId);
      return;
    }
    await holds.settle(session);
  }

  async function announce(stream: StreamName, state: ProcessState, notice: TaskNotice) {
    const { control } = notice;
    const { processId } = state;
    const announcement = announcementFor(state, control);
    if (announcement === undefined) return;
    const { namespace } = addressOf(stream);
    const command = { type: "announce_task" as const, announcement };
    const mark = { requestId: `${processId}:${control}`, bodyHash: control };
    const told = sessionsRunning(state).map(async (sessionId) => {
      const runtime = streamName(runtimeAggregate.kind, namespace, sessionId);
      try {
        await runtimes.submit(runtime, { ...flowEnvelope(command), ...mark });
      } catch (error) {
        // Nobody runs anything there.
        if (!isRefusedFor(error, ["RUNTIME_NOT_REGISTERED", "RUNTIME_DESTROYED"])) throw error;
      }
    });
    await Promise.all(told);
    const settle = { type: "settle_task_notice" as const, processId, control };
    await processes.submit(stream, flowEnvelope(settle));
  }

  return async (stream) => {
    const { state } = await processes.fresh(stream);
    const work = taskWorkOf(state, nowMs());
    if (work === undefined) return;
    const { processId } = state;
    if (work.needsGrant) await grantScope(stream, state);
    // The abort is what is told then.
    if (work.isAbortDue) {
      await processes.submit(stream, flowEnvelope({ type: "abort_task" as const, processId }));
    } else if (work.notice !== null) await announce(stream, state, work.notice);
  };
}

/** Makes what tells an executor that got hold of a runtime which tasks there are to end. */
export function makeOpenTaskControls({
  grants,
  processes,
}: Pick<TaskFlowOptions, "grants" | "processes">): OpenTaskControls {
  return async (runtime) => {
    const { namespace, id } = addressOf(runtime);
    const { state } = await grants.fresh(grantsStreamOf(namespace, id));
    const controls = taskHandlesOf(state).map(async ({ processId }) => {
      const { state: process } = await processes.fresh(processStreamOf(namespace, processId));
      const isOutside = process.registration?.disposition === "externally_owned";
      const isOpen = process.end === null && process.cancelRequest !== null;
      return isOutside && isOpen ? announcementFor(process, "cancel") : undefined;
    });
    return (await Promise.all(controls)).filter((control) => control !== undefined);
  };
}
