/**
 * One operation as a machine. Owns which step may follow which, for decisions and for the fold;
 * must not know runtimes, limits or cursors.
 */
import type { Step } from "../shared/step.ts";
import type { OperationEventType } from "./operation-events.ts";
import type { EndedOperationStatus, OperationStatus } from "./operation-state.ts";

/** The states of an operation; `absent` before its registration. */
export type OperationStepState = OperationStatus | "absent";

/** Events that are a step of one operation, or of each that has not ended. */
export type OperationStepName = Exclude<
  OperationEventType,
  "operations_collected" | "completions_observed"
>;

/** The machine: event, legal states before it, the state after it. */
export const OPERATION_STEPS = {
  operation_registered: { from: ["absent"], to: "provisioning" },
  operation_provisioned: { from: ["provisioning"], to: "running" },
  operation_provisioning_failed: { from: ["provisioning"], to: "failed" },
  operation_provisioning_aborted: { from: ["provisioning"], to: "aborted" },
  operation_peer_ready: { from: ["running", "retiring"], to: "same" },
  operation_progressed: { from: ["running", "retiring"], to: "same" },
  operation_retire_requested: { from: ["running"], to: "retiring" },
  operation_completed: { from: ["running", "retiring"], to: "completed" },
  operation_failed: { from: ["provisioning", "running", "retiring"], to: "failed" },
  operation_cancelled: { from: ["provisioning", "running", "retiring"], to: "cancelled" },
  operation_retired: { from: ["running", "retiring"], to: "retired" },
  operations_terminated: { from: ["provisioning", "running", "retiring"], to: "terminated" },
} as const satisfies Record<OperationStepName, Step<OperationStepState>>;

const ENDED: Readonly<Record<EndedOperationStatus, true>> = {
  completed: true,
  failed: true,
  aborted: true,
  cancelled: true,
  retired: true,
  terminated: true,
};

/** Whether an operation of this status has ended. */
export function hasEnded(status: OperationStatus): status is EndedOperationStatus {
  return status in ENDED;
}
