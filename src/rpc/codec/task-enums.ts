/** The enums of the task contract: every name of the core and its number on the wire. */
import type {
  TaskCancelPolicy as CoreCancelPolicy,
  TaskClosePolicy as CoreClosePolicy,
  TaskKind as CoreKind,
  TaskReport,
  TaskStateName,
  TaskVisibility as CoreVisibility,
} from "../../core/process/task.ts";
import {
  TaskCancelPolicy,
  TaskClosePolicy,
  TaskKind,
  TaskState,
  TaskVisibility,
} from "../../../gen/keelson/task/v1/messages_pb.ts";
import { makeEnumCodec } from "./enum-codec.ts";

/** Kinds of tasks. */
export const taskKinds = makeEnumCodec<CoreKind, TaskKind>({
  monitor: TaskKind.MONITOR,
  subagent: TaskKind.SUBAGENT,
  observer: TaskKind.OBSERVER,
  other: TaskKind.OTHER,
});

/** Who sees a task. */
export const taskVisibilities = makeEnumCodec<CoreVisibility, TaskVisibility>({
  hidden: TaskVisibility.HIDDEN,
  managed: TaskVisibility.MANAGED,
  external: TaskVisibility.EXTERNAL,
});

/** What a task can be spawned as. */
export const spawnedVisibilities = makeEnumCodec<"hidden" | "managed", TaskVisibility>({
  hidden: TaskVisibility.HIDDEN,
  managed: TaskVisibility.MANAGED,
});

/** How a task is cancelled. */
export const cancelPolicies = makeEnumCodec<CoreCancelPolicy, TaskCancelPolicy>({
  cooperative: TaskCancelPolicy.COOPERATIVE,
  abort_local: TaskCancelPolicy.ABORT_LOCAL,
  external: TaskCancelPolicy.EXTERNAL,
});

/** What becomes of a task when its session closes. */
export const closePolicies = makeEnumCodec<CoreClosePolicy, TaskClosePolicy>({
  keep: TaskClosePolicy.KEEP,
  cancel: TaskClosePolicy.CANCEL,
  transfer: TaskClosePolicy.TRANSFER,
});

/** States of tasks. */
export const taskStates = makeEnumCodec<TaskStateName, TaskState>({
  pending: TaskState.PENDING,
  running: TaskState.RUNNING,
  waiting: TaskState.WAITING,
  cancel_requested: TaskState.CANCEL_REQUESTED,
  completed: TaskState.COMPLETED,
  failed: TaskState.FAILED,
  cancelled: TaskState.CANCELLED,
});

/** States that whoever runs a live task may report. */
export const reportedStates = makeEnumCodec<TaskReport, TaskState>({
  running: TaskState.RUNNING,
  waiting: TaskState.WAITING,
});
