/** Background tasks on the wire: descriptions from clients, tasks as they are shown. */
import { create } from "@bufbuild/protobuf";
import type { AwaitOutput } from "../../core/process/await-output.ts";
import { processFactsOf } from "../../core/process/facts-codec.ts";
import type { TaskAttempt, TaskRegistration, TaskVisibility } from "../../core/process/task.ts";
import { type SessionId, sessionIdOf } from "../../core/shared/ids.ts";
import type { ProcessFold } from "../../dispatch/process-streams.ts";
import {
  type BackgroundTask,
  BackgroundTaskSchema,
  type TaskAttempt as WireAttempt,
  type TaskDescription,
} from "../../../gen/keelson/task/v1/messages_pb.ts";
import { checkEnum, checkOptionalEnum } from "./enum-codec.ts";
import { checkId, checkOptionalId, type FieldCheck, violate } from "./field-check.ts";
import { outputToProto } from "./process-output.ts";
import {
  cancelPolicies,
  closePolicies,
  taskKinds,
  taskStates,
  taskVisibilities,
} from "./task-enums.ts";
import { timestampToProto } from "./time.ts";

/** Most tries that a task may be said to have. */
const ATTEMPTS_MAX = 1_000_000;

function attemptFromProto(check: FieldCheck, wire: WireAttempt | undefined): TaskAttempt {
  const { attempt = 0, attemptsMax, idempotencyKey = "" } = wire ?? {};
  const key = checkOptionalId(check, idempotencyKey, "task.attempt.idempotency_key");
  if (attempt > ATTEMPTS_MAX) {
    violate(check, "task.attempt.attempt", `must be at most ${ATTEMPTS_MAX}`);
  }
  const number = attempt === 0 ? 1 : attempt;
  if (attemptsMax !== undefined && (attemptsMax < number || attemptsMax > ATTEMPTS_MAX)) {
    const description = `must be from the attempt, ${number}, to ${ATTEMPTS_MAX}`;
    violate(check, "task.attempt.attempts_max", description);
  }
  return {
    attempt: number,
    ...(attemptsMax === undefined ? {} : { attemptsMax }),
    ...(key === undefined ? {} : { idempotencyKey: key }),
  };
}

/** The facet of a task that begins; `taskId` is checked or made already. */
export function taskFromProto(
  check: FieldCheck,
  description: TaskDescription,
  scope: { readonly taskId: string; readonly sessionId: SessionId },
  visibility: TaskVisibility,
): TaskRegistration {
  const kind = checkEnum(check, taskKinds, description.kind, "task.kind");
  const { parentTaskId, childSessionId, cancelPolicy, closePolicy } = description;
  const parent = checkOptionalId(check, parentTaskId, "task.parent_task_id");
  const child = checkOptionalId(check, childSessionId, "task.child_session_id");
  const onCancel = checkOptionalEnum(check, cancelPolicies, cancelPolicy, "task.cancel_policy");
  const onClose = checkOptionalEnum(check, closePolicies, closePolicy, "task.close_policy");
  return {
    ...scope,
    kind: kind ?? "other",
    visibility,
    producer: checkId(check, description.producer, "task.producer"),
    ...(parent === undefined ? {} : { parentTaskId: parent }),
    ...(child === undefined ? {} : { childSessionId: sessionIdOf(child) }),
    cancelPolicy: onCancel ?? "cooperative",
    closePolicy: onClose ?? "cancel",
    attempt: attemptFromProto(check, description.attempt),
  };
}

/** A task as a session has it; `output` once it ended, where it is told. */
export function taskToProto(
  sessionId: SessionId,
  { state, revision }: Pick<ProcessFold, "state" | "revision">,
  output?: AwaitOutput,
): BackgroundTask {
  const facts = processFactsOf(state);
  const task = facts?.task;
  if (!facts || !task) throw new TypeError("A process that is no task cannot be shown as one");
  const { attempt, attemptsMax, idempotencyKey = "" } = task.attempt;
  const { cancelRequest, end } = facts;
  return create(BackgroundTaskSchema, {
    taskId: task.taskId,
    processId: facts.processId,
    revision: BigInt(revision),
    sessionId,
    kind: taskKinds.toProto(task.kind),
    visibility: taskVisibilities.toProto(task.visibility),
    producer: task.producer,
    parentTaskId: task.parentTaskId ?? "",
    childSessionId: task.childSessionId ?? "",
    state: taskStates.toProto(task.state),
    cancelPolicy: cancelPolicies.toProto(task.cancelPolicy),
    closePolicy: closePolicies.toProto(task.closePolicy),
    attempt: { attempt, idempotencyKey, ...(attemptsMax === undefined ? {} : { attemptsMax }) },
    runByWorker: facts.disposition !== "externally_owned",
    createdAt: timestampToProto(facts.createdAt),
    updatedAt: timestampToProto(facts.updatedAt),
    ...(end && { completedAt: timestampToProto(end.endedAt) }),
    ...(cancelRequest && {
      cancelRequest: {
        reason: cancelRequest.reason,
        requestedAt: timestampToProto(cancelRequest.requestedAt),
        sequence: BigInt(cancelRequest.sequence),
      },
    }),
    ...(task.abortAt === null ? {} : { abortAt: timestampToProto(task.abortAt) }),
    ...(output && { output: outputToProto(output) }),
    labels: { ...facts.labels },
  });
}
