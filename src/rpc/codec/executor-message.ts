/** What executors are told, on the wire. */
import { create } from "@bufbuild/protobuf";
import {
  AbortDrainControlSchema,
  AbortTaskControlSchema,
  CancelTaskControlSchema,
  CloseStreamReason,
  type ExecutorControl,
  ExecutorControlSchema,
  type LeaseLost,
  LeaseLossReason,
  LeaseLostSchema,
  SpawnDrainControlSchema,
  StopMonitorControlSchema,
  type SteerAvailable,
  SteerAvailableSchema,
} from "../../../gen/keelson/executor/v1/messages_pb.ts";
import {
  type AttachResponse,
  AttachResponseSchema,
} from "../../../gen/keelson/executor/v1/service_pb.ts";
import type { TimeMs } from "../../core/shared/ids.ts";
import type {
  Control,
  DrainControl,
  ExecutorMessage,
  LeaseLoss,
  SteerNotice,
  TaskControl,
} from "../../dispatch/messages.ts";
import { drainModes, endpointToProto } from "./peer-ingress.ts";
import { runAssignmentToProto } from "./run-assignment.ts";
import { durationToProto, timestampToProto } from "./time.ts";

const LOSS_REASONS = {
  lapsed: LeaseLossReason.LAPSED,
  fenced: LeaseLossReason.FENCED,
  taken_back: LeaseLossReason.TAKEN_BACK,
  released: LeaseLossReason.RELEASED,
} as const satisfies Record<LeaseLoss["reason"], LeaseLossReason>;

const CLOSE_REASONS = {
  server_draining: CloseStreamReason.SERVER_DRAINING,
  replaced: CloseStreamReason.REPLACED,
  detached: CloseStreamReason.DETACHED,
  unresponsive: CloseStreamReason.UNRESPONSIVE,
  fenced: CloseStreamReason.FENCED,
} as const;

/** A lease that is gone. */
export function leaseLossToProto(loss: LeaseLoss): LeaseLost {
  return create(LeaseLostSchema, {
    runtimeId: loss.runtimeId,
    runId: loss.runId ?? "",
    generation: BigInt(loss.generation),
    currentGeneration: BigInt(loss.currentGeneration),
    holderExecutorId: loss.holderExecutorId ?? "",
    reason: LOSS_REASONS[loss.reason],
  });
}

/** Something an executor is told to do, or to know. */
export function controlToProto(control: Control): ExecutorControl {
  return create(ExecutorControlSchema, {
    runtimeId: control.runtimeId,
    runId: control.runId ?? "",
    generation: BigInt(control.generation),
    reason: control.reason ?? "",
    control: { case: control.control, value: {} },
  });
}

function drainControlCase({ control }: DrainControl): ExecutorControl["control"] {
  const drainSequence = BigInt(control.sequence);
  if (control.type === "abort_drain") {
    return { case: "abortDrain", value: create(AbortDrainControlSchema, { drainSequence }) };
  }
  const value = create(SpawnDrainControlSchema, {
    drainSequence,
    mode: drainModes.toProto(control.mode),
    endpoint: endpointToProto(control.endpoint),
  });
  return { case: "spawnDrain", value };
}

/** What an executor is told about the drain of a runtime. */
export function drainControlToProto(message: DrainControl): ExecutorControl {
  return create(ExecutorControlSchema, {
    runtimeId: message.runtimeId,
    generation: BigInt(message.generation),
    reason: message.reason ?? "",
    control: drainControlCase(message),
  });
}

function taskControlCase(message: TaskControl): ExecutorControl["control"] {
  const { taskId, processId } = message;
  switch (message.control) {
    case "cancel_task":
      return { case: "cancelTask", value: create(CancelTaskControlSchema, { taskId, processId }) };
    case "stop_monitor":
      return {
        case: "stopMonitor",
        value: create(StopMonitorControlSchema, { taskId, processId }),
      };
    case "abort_task":
      return { case: "abortTask", value: create(AbortTaskControlSchema, { taskId, processId }) };
  }
}

/** What an executor is told about a background task of a session. */
export function taskControlToProto(message: TaskControl): ExecutorControl {
  return create(ExecutorControlSchema, {
    runtimeId: message.runtimeId,
    generation: BigInt(message.generation),
    reason: message.reason ?? "",
    control: taskControlCase(message),
  });
}

/** Inputs that could join the run in flight. */
export function steerNoticeToProto(notice: SteerNotice): SteerAvailable {
  const { runtimeId, runId, count } = notice;
  return create(SteerAvailableSchema, { runtimeId, runId, count });
}

/** A sign of life. */
export function heartbeatToProto(time: TimeMs, remainingMs: number): AttachResponse {
  const value = { time: timestampToProto(time), remaining: durationToProto(remainingMs) };
  return create(AttachResponseSchema, { message: { case: "heartbeat", value } });
}

/** One message of an attach stream. */
export function executorMessageToProto(
  message: ExecutorMessage,
  remainingMs: number,
): AttachResponse {
  switch (message.type) {
    case "lease_granted": {
      const { runtimeId, epochId } = message;
      const generation = BigInt(message.generation);
      const remaining = durationToProto(remainingMs);
      const value = { runtimeId, epochId, generation, remaining };
      return create(AttachResponseSchema, { message: { case: "leaseGranted", value } });
    }
    case "run_assigned": {
      const value = runAssignmentToProto(message.assignment);
      return create(AttachResponseSchema, { message: { case: "runAssigned", value } });
    }
    case "control":
      return create(AttachResponseSchema, {
        message: { case: "control", value: controlToProto(message) },
      });
    case "drain_control":
      return create(AttachResponseSchema, {
        message: { case: "control", value: drainControlToProto(message) },
      });
    case "task_control":
      return create(AttachResponseSchema, {
        message: { case: "control", value: taskControlToProto(message) },
      });
    case "steer_available":
      return create(AttachResponseSchema, {
        message: { case: "steerAvailable", value: steerNoticeToProto(message) },
      });
    case "lease_lost":
      return create(AttachResponseSchema, {
        message: { case: "leaseLost", value: leaseLossToProto(message) },
      });
    case "close_stream": {
      const closeStream = { reason: CLOSE_REASONS[message.reason] };
      const value = create(ExecutorControlSchema, {
        control: { case: "closeStream", value: closeStream },
      });
      return create(AttachResponseSchema, { message: { case: "control", value } });
    }
  }
}
