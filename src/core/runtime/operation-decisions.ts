/**
 * Decides commands about operations: registration under a limit, the steps of one operation by its
 * table, the end of all of them, and the collection of what completed.
 */
import type { DecideContext, Decision, RecordLookup } from "../shared/aggregate.ts";
import type { EpochId, OperationId } from "../shared/ids.ts";
import { refusalOf } from "../shared/refusal.ts";
import type { RuntimeCommand, RuntimeReply } from "./commands.ts";
import type { Draft } from "./draft.ts";
import type { RuntimeEvent } from "./events.ts";
import type { OperationCommand } from "./operation-commands.ts";
import type { OperationEvent } from "./operation-events.ts";
import { operationLookup, OPERATIONS_CLASS } from "./operation-record.ts";
import {
  operationAlreadyRegistered,
  operationInvalidTransition,
  operationLimitReached,
  operationNotFound,
  peerAlreadyReady,
  peerNotExpected,
} from "./operation-refusals.ts";
import type { Operation, OperationRegistry } from "./operation-state.ts";
import { OPERATION_STEPS, type OperationStepState } from "./operation-table.ts";
import { operationFromRecord } from "./record-codec.ts";
import { notRegistered, refused, refusedByTable } from "./refusals.ts";
import type { RuntimeState } from "./state.ts";
import { verdictOf } from "./table.ts";

type CommandOf<Type extends OperationCommand["type"]> = Extract<
  OperationCommand,
  { readonly type: Type }
>;
/** Commands about one operation that is there. */
type StepCommand = Extract<OperationCommand, { readonly operationId: OperationId }>;
type OperationDecision = Decision<RuntimeEvent, RuntimeReply>;

/** The event that each command about one operation becomes. */
const EVENT_OF = {
  mark_operation_provisioned: "operation_provisioned",
  fail_operation_provisioning: "operation_provisioning_failed",
  abort_operation_provisioning: "operation_provisioning_aborted",
  report_operation_peer_ready: "operation_peer_ready",
  report_operation_progress: "operation_progressed",
  complete_operation: "operation_completed",
  fail_operation: "operation_failed",
  cancel_operation: "operation_cancelled",
  request_retire_operation: "operation_retire_requested",
  mark_operation_retired: "operation_retired",
} as const satisfies Record<StepCommand["type"], keyof typeof OPERATION_STEPS>;

/** Bytes of an operation in an answer besides its result, near enough. */
const OPERATION_BYTES = 1_000;

function because(command: { readonly reason?: string }): { readonly reason?: string } {
  return command.reason === undefined ? {} : { reason: command.reason };
}

/** Records that must be looked up because the state may have forgotten the operation. */
export function operationLookups(
  state: RuntimeState,
  command: RuntimeCommand,
): readonly RecordLookup[] {
  if (state.registration === "none") return [];
  const operationId = idToLookUp(command);
  if (operationId === undefined || state.operations.operations.has(operationId)) return [];
  return [{ recordClass: OPERATIONS_CLASS, lookup: operationLookup(operationId) }];
}

function idToLookUp(command: RuntimeCommand): OperationId | undefined {
  if (command.type === "register_operation") {
    return command.operationIdIsFresh ? undefined : command.spec.operationId;
  }
  return "operationId" in command ? command.operationId : undefined;
}

/** The operation of an id, held or forgotten. */
function known(
  state: RuntimeState,
  operationId: OperationId,
  context: DecideContext,
): Operation | undefined {
  const held = state.operations.operations.get(operationId);
  if (held !== undefined) return held;
  const record = context.found.find(OPERATIONS_CLASS, operationLookup(operationId));
  return record === undefined ? undefined : operationFromRecord(record);
}

/** The refusal of a caller that means another epoch; undefined when all holds. */
function epochMismatch(state: RuntimeState, expectedEpochId: EpochId | undefined) {
  if (expectedEpochId === undefined || expectedEpochId === state.epochId) return undefined;
  const facts = { expectedEpochId, epochId: state.epochId };
  return refusalOf("EPOCH_MISMATCH", "The runtime is in another epoch; read it again", facts);
}

function decideRegister(
  state: RuntimeState,
  command: CommandOf<"register_operation">,
  context: DecideContext,
): OperationDecision {
  const { spec } = command;
  const existing = known(state, spec.operationId, context);
  if (existing !== undefined) return refused(operationAlreadyRegistered(existing));
  const verdict = verdictOf(state, "register_operation");
  if (verdict === "INVALID_STATE" || verdict === "RUNTIME_DESTROYED") {
    return refused(refusedByTable(state, verdict));
  }
  const { operations, config } = state;
  const active = operations.active.size;
  if (active >= config.operationLimit) {
    return refused(operationLimitReached(config.operationLimit, active));
  }
  const ordinal = operations.ordinal + 1;
  return { kind: "commit", events: [{ type: "operation_registered", ordinal, ...spec }] };
}

function stepEvent(registry: OperationRegistry, command: StepCommand): OperationEvent {
  const { operationId } = command;
  const sequence = registry.watermark + 1;
  switch (command.type) {
    case "mark_operation_provisioned":
      return { type: EVENT_OF[command.type], operationId };
    case "fail_operation_provisioning":
      return { type: EVENT_OF[command.type], operationId, error: command.error, sequence };
    case "abort_operation_provisioning":
      return { type: EVENT_OF[command.type], operationId, ...because(command), sequence };
    case "report_operation_peer_ready":
      return { type: EVENT_OF[command.type], operationId, peerHandle: command.peerHandle };
    case "report_operation_progress": {
      const { message, percent } = command;
      return {
        type: EVENT_OF[command.type],
        operationId,
        ...(message === undefined ? {} : { message }),
        ...(percent === undefined ? {} : { percent }),
      };
    }
    case "complete_operation": {
      const { result, resultBytes } = command;
      return { type: EVENT_OF[command.type], operationId, result, resultBytes, sequence };
    }
    case "fail_operation":
      return { type: EVENT_OF[command.type], operationId, error: command.error, sequence };
    case "cancel_operation":
      return { type: EVENT_OF[command.type], operationId, ...because(command), sequence };
    case "request_retire_operation":
      return { type: EVENT_OF[command.type], operationId, ...because(command) };
    case "mark_operation_retired":
      return { type: EVENT_OF[command.type], operationId, sequence };
  }
}

function decideStep(
  state: RuntimeState,
  command: StepCommand,
  context: DecideContext,
): OperationDecision {
  const { operationId } = command;
  const operation = known(state, operationId, context);
  if (operation === undefined) return refused(operationNotFound(state.runtimeId, operationId));
  if (command.type === "report_operation_peer_ready") {
    if (operation.kind !== "mob_member_child") return refused(peerNotExpected(operation));
    if (operation.peerHandle !== undefined) return refused(peerAlreadyReady(operation));
  }
  const from: readonly OperationStepState[] = OPERATION_STEPS[EVENT_OF[command.type]].from;
  if (!from.includes(operation.status)) {
    return refused(operationInvalidTransition(operation, command.type));
  }
  return { kind: "commit", events: [stepEvent(state.operations, command)] };
}

/** Emits the end of every operation that has not ended; answers how many there were. */
export function emitOperationsTerminated(draft: Draft, reason: string): number {
  const event = terminationOf(draft.state().operations, reason);
  if (event === undefined) return 0;
  draft.emit(event);
  return event.operationCount;
}

function terminationOf(registry: OperationRegistry, reason: string) {
  const operationCount = registry.active.size;
  const firstSequence = registry.watermark + 1;
  return operationCount === 0
    ? undefined
    : ({ type: "operations_terminated", reason, operationCount, firstSequence } as const);
}

function decideTerminate(
  state: RuntimeState,
  command: CommandOf<"terminate_owner">,
): OperationDecision {
  const event = terminationOf(state.operations, command.reason);
  return event === undefined
    ? { kind: "answer", reply: { type: "owner_terminated", operationCount: 0 } }
    : { kind: "commit", events: [event] };
}

function decideCollect(
  state: RuntimeState,
  command: CommandOf<"collect_completed">,
): OperationDecision {
  const { ended, operations, watermark, releasedThrough, cursors } = state.operations;
  const bound = Math.min(command.throughSequence ?? watermark, watermark);
  const operationIds: OperationId[] = [];
  let throughSequence = bound;
  let bytes = 0;
  for (const [sequence, operationId] of ended.entries(releasedThrough + 1)) {
    if (sequence > bound) break;
    const outcome = operations.get(operationId)?.end?.outcome;
    bytes += OPERATION_BYTES + (outcome?.type === "completed" ? outcome.resultBytes : 0);
    const isFull = operationIds.length === command.operationsMax || bytes > command.bytesMax;
    if (operationIds.length > 0 && isFull) {
      throughSequence = sequence - 1;
      break;
    }
    operationIds.push(operationId);
  }
  return operationIds.length === 0 && throughSequence <= cursors.agentApplied
    ? { kind: "answer", reply: { type: "collected", operationIds } }
    : { kind: "commit", events: [{ type: "operations_collected", operationIds, throughSequence }] };
}

/** Decides a command about operations. */
export function decideOperation(
  state: RuntimeState,
  command: OperationCommand,
  context: DecideContext,
): OperationDecision {
  if (state.registration !== "registered") return refused(notRegistered(state));
  const mismatch =
    "operationId" in command ? undefined : epochMismatch(state, command.expectedEpochId);
  if (mismatch !== undefined) return refused(mismatch);
  switch (command.type) {
    case "register_operation":
      return decideRegister(state, command, context);
    case "terminate_owner":
      return decideTerminate(state, command);
    case "collect_completed":
      return decideCollect(state, command);
    default:
      return decideStep(state, command, context);
  }
}

/** The reply to a command about operations whose events are committed. */
export function answerOperation(
  command: OperationCommand,
  events: readonly RuntimeEvent[],
): RuntimeReply {
  switch (command.type) {
    case "register_operation": {
      // A call repeated by its request id may carry a fresh id; the first one's is the answer.
      const registered = events.find((event) => event.type === "operation_registered");
      const operationId = registered?.operationId ?? command.spec.operationId;
      return { type: "operation", operationId };
    }
    case "terminate_owner": {
      const terminated = events.find((event) => event.type === "operations_terminated");
      return { type: "owner_terminated", operationCount: terminated?.operationCount ?? 0 };
    }
    case "collect_completed": {
      const collected = events.find((event) => event.type === "operations_collected");
      return { type: "collected", operationIds: collected?.operationIds ?? [] };
    }
    default:
      return { type: "operation", operationId: command.operationId };
  }
}
