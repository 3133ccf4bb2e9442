/**
 * Translates committed events of a runtime into what its executor is told. Pure: from a commit's
 * events and the states around it.
 */
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import type { Control, ExecutorMessage, LeaseLossReason } from "./messages.ts";

const CONTROLS: Readonly<Partial<Record<RuntimeEvent["type"], Control["control"]>>> = {
  run_interrupted: "interrupt",
  runtime_retired: "retire",
  runtime_stopped: "stop",
  runtime_destroyed: "destroy",
  runtime_unregistered: "unregister",
};

const LOSSES: Readonly<Partial<Record<RuntimeEvent["type"], LeaseLossReason>>> = {
  lease_lapsed: "lapsed",
  lease_fenced: "fenced",
  lease_released: "released",
};

function lossReason(event: RuntimeEvent, before: RuntimeState): LeaseLossReason | undefined {
  const reason = LOSSES[event.type];
  if (reason === "released" && before.lease?.named !== true) return undefined;
  if (event.type === "run_returned" && event.how === "taken_back") return "taken_back";
  return reason;
}

/** Messages that one event causes for the executor that held the lease before it. */
export function noticesOf(
  event: RuntimeEvent,
  before: RuntimeState,
  after: RuntimeState,
): readonly ExecutorMessage[] {
  const { runtimeId } = after;
  const runId = before.run?.runId;
  const generation = before.lease?.generation ?? before.generation;
  const messages: ExecutorMessage[] = [];
  const control = CONTROLS[event.type];
  if (control !== undefined) {
    const reason = "reason" in event ? event.reason : undefined;
    messages.push({
      type: "control",
      runtimeId,
      generation,
      control,
      ...(runId === undefined ? {} : { runId }),
      ...(reason === undefined ? {} : { reason }),
    });
  }
  const reason = lossReason(event, before);
  if (reason !== undefined) {
    messages.push({
      type: "lease_lost",
      runtimeId,
      generation,
      currentGeneration: after.generation,
      reason,
      ...(runId === undefined ? {} : { runId }),
      ...(after.lease === null ? {} : { holderExecutorId: after.lease.executorId }),
    });
  }
  return messages;
}
