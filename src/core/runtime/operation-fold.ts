/**
 * How events of operations change the registry. Must not decide anything: the events say what
 * happened, an impossible one throws FoldError.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import type { EpochId, OperationId } from "../shared/ids.ts";
import { assertStep } from "../shared/step.ts";
import type { OperationEvent } from "./operation-events.ts";
import {
  type Operation,
  type OperationOutcome,
  type OperationRegistry,
  retainedCount,
} from "./operation-state.ts";
import { OPERATION_STEPS } from "./operation-table.ts";

type EventOf<Type extends OperationEvent["type"]> = Extract<
  OperationEvent,
  { readonly type: Type }
>;
type StepEvent = Exclude<
  OperationEvent,
  EventOf<"operations_terminated" | "operations_collected" | "completions_observed">
>;
type ChangeEvent = Exclude<StepEvent, EventOf<"operation_registered">>;
type EndingEvent = Extract<ChangeEvent, { readonly sequence: number }>;

/** What of the runtime the fold of an operation looks at. */
export interface RegistryTerms {
  readonly epochId: EpochId;
  readonly completedRetention: number;
}

/** An operation that the registry must hold. Throws FoldError when it does not. */
export function operationOf(registry: OperationRegistry, operationId: OperationId): Operation {
  const operation = registry.operations.get(operationId);
  if (operation === undefined) throw new FoldError(`operation ${operationId} is not in the state`);
  return operation;
}

function because(event: { readonly reason?: string }): { readonly reason?: string } {
  return event.reason === undefined ? {} : { reason: event.reason };
}

/** What the state remembers of an end. */
function outcomeOf(event: EndingEvent): OperationOutcome {
  switch (event.type) {
    case "operation_completed": {
      const { isError, durationMs, tokensUsed } = event.result;
      return {
        type: "completed",
        isError,
        ...(durationMs === undefined ? {} : { durationMs }),
        ...(tokensUsed === undefined ? {} : { tokensUsed }),
        resultBytes: event.resultBytes,
      };
    }
    case "operation_failed":
    case "operation_provisioning_failed":
      return { type: "failed", error: event.error };
    case "operation_provisioning_aborted":
      return { type: "aborted", ...because(event) };
    case "operation_cancelled":
      return { type: "cancelled", ...because(event) };
    case "operation_retired":
      return { type: "retired" };
  }
}

/** The registry with no more ended operations than are to be kept. */
export function trimmed(registry: OperationRegistry, retention: number): OperationRegistry {
  return retainedCount(registry) <= retention
    ? registry
    : { ...registry, releasedThrough: registry.watermark - retention };
}

/** The registry with operations ended, in this order. */
function withEnds(
  registry: OperationRegistry,
  ends: readonly (readonly [Operation, OperationOutcome])[],
  firstSequence: number,
  position: EventPosition,
  terms: RegistryTerms,
): OperationRegistry {
  if (firstSequence !== registry.watermark + 1) {
    throw new FoldError(`completion sequence ${firstSequence} is out of order`);
  }
  const { revision, at } = position;
  let { backgroundWatermark } = registry;
  const ended = ends.map(([operation, outcome], offset): Operation => {
    const sequence = firstSequence + offset;
    if (operation.kind === "background_tool_op") backgroundWatermark = sequence;
    const end = { sequence, revision, at, outcome };
    return { ...operation, status: outcome.type, updatedAt: at, end };
  });
  const next: OperationRegistry = {
    ...registry,
    operations: registry.operations.withEntries(ended.map((it) => [it.operationId, it] as const)),
    active: registry.active.withoutKeys(ended.map((it) => it.ordinal)),
    ended: registry.ended.withEntries(
      ended.map((it, offset) => [firstSequence + offset, it.operationId] as const),
    ),
    watermark: registry.watermark + ended.length,
    backgroundWatermark,
  };
  return trimmed(next, terms.completedRetention);
}

function foldRegistered(
  registry: OperationRegistry,
  event: EventOf<"operation_registered">,
  position: EventPosition,
  terms: RegistryTerms,
): OperationRegistry {
  const { type, ordinal, ...spec } = event;
  const known = registry.operations.get(spec.operationId)?.status ?? "absent";
  assertStep(OPERATION_STEPS[type], known, type);
  if (ordinal !== registry.ordinal + 1) throw new FoldError(`operation ${ordinal} out of order`);
  const operation: Operation = {
    ...spec,
    ordinal,
    epochId: terms.epochId,
    status: OPERATION_STEPS[type].to,
    progressCount: 0,
    registeredAt: position.at,
    updatedAt: position.at,
  };
  return {
    ...registry,
    operations: registry.operations.with(spec.operationId, operation),
    active: registry.active.with(ordinal, spec.operationId),
    ordinal,
  };
}

function changed(operation: Operation, event: ChangeEvent, position: EventPosition): Operation {
  const moved = { ...operation, updatedAt: position.at };
  switch (event.type) {
    case "operation_provisioned":
      return { ...moved, status: "running", startedAt: position.at };
    case "operation_peer_ready":
      return { ...moved, peerHandle: event.peerHandle };
    case "operation_progressed": {
      const { percent } = event;
      const progressCount = operation.progressCount + 1;
      return {
        ...moved,
        progressCount,
        ...(percent === undefined ? {} : { progressPercent: percent }),
      };
    }
    case "operation_retire_requested":
      return { ...moved, status: "retiring" };
    default:
      return operation;
  }
}

function foldChange(
  registry: OperationRegistry,
  event: ChangeEvent,
  position: EventPosition,
  terms: RegistryTerms,
): OperationRegistry {
  const operation = operationOf(registry, event.operationId);
  assertStep(OPERATION_STEPS[event.type], operation.status, event.type);
  if ("sequence" in event) {
    return withEnds(registry, [[operation, outcomeOf(event)]], event.sequence, position, terms);
  }
  const next = changed(operation, event, position);
  return { ...registry, operations: registry.operations.with(event.operationId, next) };
}

function foldTerminated(
  registry: OperationRegistry,
  event: EventOf<"operations_terminated">,
  position: EventPosition,
  terms: RegistryTerms,
): OperationRegistry {
  const { reason, operationCount, firstSequence } = event;
  if (operationCount !== registry.active.size) {
    throw new FoldError(`${operationCount} operations end, ${registry.active.size} are active`);
  }
  const outcome = { type: "terminated", reason } as const;
  const ends = [...registry.active.values()].map(
    (operationId) => [operationOf(registry, operationId), outcome] as const,
  );
  return withEnds(registry, ends, firstSequence, position, terms);
}

/** The registry after an event of operations. Throws FoldError when it cannot follow. */
export function foldOperations(
  registry: OperationRegistry,
  event: OperationEvent,
  position: EventPosition,
  terms: RegistryTerms,
): OperationRegistry {
  switch (event.type) {
    case "operation_registered":
      return foldRegistered(registry, event, position, terms);
    case "operations_terminated":
      return foldTerminated(registry, event, position, terms);
    case "operations_collected": {
      const { throughSequence } = event;
      const { cursors } = registry;
      const agentApplied = Math.max(cursors.agentApplied, throughSequence);
      const releasedThrough = Math.max(registry.releasedThrough, throughSequence);
      return { ...registry, releasedThrough, cursors: { ...cursors, agentApplied } };
    }
    case "completions_observed": {
      const { throughSequence: runtimeObserved, continuationId } = event;
      const cursors = { ...registry.cursors, runtimeObserved };
      return continuationId === undefined
        ? { ...registry, cursors }
        : {
            ...registry,
            cursors: { ...cursors, runtimeInjected: runtimeObserved },
            continuationId,
          };
    }
    default:
      return foldChange(registry, event, position, terms);
  }
}

/** The registry with nothing left to be told of: what ended before does not wake any more. */
export function settled(registry: OperationRegistry): OperationRegistry {
  const { watermark, cursors } = registry;
  if (cursors.runtimeInjected === watermark) return registry;
  const reached = { runtimeObserved: watermark, runtimeInjected: watermark };
  return { ...registry, cursors: { ...cursors, ...reached } };
}

/** The operations that an event ends: those who watch them are told by the same commit (O3). */
export function endedOperations(
  before: OperationRegistry,
  event: { readonly type: string },
): readonly OperationId[] {
  return isOperationEvent(event) ? endedBy(before, event) : [];
}

function endedBy(before: OperationRegistry, event: OperationEvent): readonly OperationId[] {
  if (event.type === "operations_terminated") return [...before.active.values()];
  return "sequence" in event ? [event.operationId] : [];
}

function isOperationEvent(event: { readonly type: string }): event is OperationEvent {
  return event.type in OPERATION_STEPS;
}
