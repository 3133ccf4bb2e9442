/** Operations on the wire: enums, outcomes, entries of the feed, and the registry as a whole. */
import { create } from "@bufbuild/protobuf";
import type { OperationResult as CoreResult } from "../../core/runtime/operation-events.ts";
import {
  isRetained,
  type Operation as CoreOperation,
  type OperationKind as CoreKind,
  type OperationOutcome as CoreOutcome,
  type OperationStatus as CoreStatus,
  type PeerHandle as CorePeerHandle,
  retainedCount,
} from "../../core/runtime/operation-state.ts";
import type { RuntimeState } from "../../core/runtime/state.ts";
import {
  type Completion,
  CompletionSchema,
  type Operation,
  OperationKind,
  type OperationOutcome,
  OperationOutcomeSchema,
  type OperationRegistry,
  OperationRegistrySchema,
  OperationResultSchema,
  OperationSchema,
  OperationStatus,
  type PeerHandle,
  PeerHandleSchema,
} from "../../../gen/keelson/operation/v1/messages_pb.ts";
import { makeEnumCodec } from "./enum-codec.ts";
import { jsonToProto } from "./json-value.ts";
import { durationToProto, timestampToProto } from "./time.ts";

/** Kinds of registered operations. */
export const registeredKinds = makeEnumCodec<CoreKind, OperationKind>({
  mob_member_child: OperationKind.MOB_MEMBER_CHILD,
  background_tool_op: OperationKind.BACKGROUND_TOOL_OP,
});

/** Where operations are in their lives. */
export const operationStatuses = makeEnumCodec<CoreStatus, OperationStatus>({
  provisioning: OperationStatus.PROVISIONING,
  running: OperationStatus.RUNNING,
  retiring: OperationStatus.RETIRING,
  completed: OperationStatus.COMPLETED,
  failed: OperationStatus.FAILED,
  aborted: OperationStatus.ABORTED,
  cancelled: OperationStatus.CANCELLED,
  retired: OperationStatus.RETIRED,
  terminated: OperationStatus.TERMINATED,
});

/** How to reach the peer that an operation is. */
export function peerHandleToProto({ peerName, trustedPeer }: CorePeerHandle): PeerHandle {
  return create(PeerHandleSchema, { peerName, trustedPeer: { ...trustedPeer } });
}

/** How an operation ended; without the result its content is omitted. */
export function operationOutcomeToProto(
  outcome: CoreOutcome,
  result?: CoreResult,
): OperationOutcome {
  switch (outcome.type) {
    case "completed": {
      const { isError, durationMs, tokensUsed } = outcome;
      const { content = "", structured } = result ?? {};
      const value = {
        result: create(OperationResultSchema, {
          content,
          ...(structured === undefined ? {} : { structured: jsonToProto(structured) }),
          isError,
          ...(durationMs === undefined ? {} : { duration: durationToProto(durationMs) }),
          ...(tokensUsed === undefined ? {} : { tokensUsed: BigInt(tokensUsed) }),
        }),
        contentOmitted: result === undefined,
        resultBytes: BigInt(outcome.resultBytes),
      };
      return create(OperationOutcomeSchema, { outcome: { case: "completed", value } });
    }
    case "failed": {
      const value = { error: outcome.error };
      return create(OperationOutcomeSchema, { outcome: { case: "failed", value } });
    }
    case "aborted":
    case "cancelled": {
      const value = { reason: outcome.reason ?? "" };
      return create(OperationOutcomeSchema, { outcome: { case: outcome.type, value } });
    }
    case "retired":
      return create(OperationOutcomeSchema, { outcome: { case: "retired", value: {} } });
    case "terminated": {
      const value = { reason: outcome.reason };
      return create(OperationOutcomeSchema, { outcome: { case: "terminated", value } });
    }
  }
}

/** An operation of a runtime; without the result its content is omitted. */
export function operationToProto(
  state: RuntimeState,
  operation: CoreOperation,
  watcherCount: number,
  result: CoreResult | undefined,
): Operation {
  const { peerHandle, progressPercent, startedAt, registeredAt, end } = operation;
  return create(OperationSchema, {
    runtimeId: state.runtimeId,
    operationId: operation.operationId,
    kind: registeredKinds.toProto(operation.kind),
    displayName: operation.displayName,
    sourceLabel: operation.sourceLabel ?? "",
    childRuntimeId: operation.childRuntimeId ?? "",
    expectPeerChannel: operation.expectPeerChannel,
    epochId: operation.epochId,
    status: operationStatuses.toProto(operation.status),
    peerReady: peerHandle !== undefined,
    ...(peerHandle === undefined ? {} : { peerHandle: peerHandleToProto(peerHandle) }),
    progressCount: BigInt(operation.progressCount),
    ...(progressPercent === undefined ? {} : { progressPercent }),
    watcherCount,
    retained: end === undefined || isRetained(state.operations, operation),
    registeredAt: timestampToProto(registeredAt),
    ...(startedAt === undefined ? {} : { startedAt: timestampToProto(startedAt) }),
    ...(end === undefined
      ? {}
      : {
          outcome: operationOutcomeToProto(end.outcome, result),
          completionSequence: BigInt(end.sequence),
          endedAt: timestampToProto(end.at),
          elapsed: durationToProto(end.at - registeredAt),
        }),
  });
}

/** The entry of an ended operation in the feed; undefined while it has not ended. */
export function completionEntryToProto(
  operation: CoreOperation,
  result?: CoreResult,
): Completion | undefined {
  const { end } = operation;
  if (end === undefined) return undefined;
  return create(CompletionSchema, {
    completionSequence: BigInt(end.sequence),
    operationId: operation.operationId,
    kind: registeredKinds.toProto(operation.kind),
    displayName: operation.displayName,
    epochId: operation.epochId,
    outcome: operationOutcomeToProto(end.outcome, result),
    completedAt: timestampToProto(end.at),
  });
}

/** The registry of a runtime. */
export function registryToProto({ operations, config, epochId }: RuntimeState): OperationRegistry {
  const { cursors } = operations;
  return create(OperationRegistrySchema, {
    epochId,
    active: operations.active.size,
    operationLimit: config.operationLimit,
    retained: retainedCount(operations),
    completedRetention: config.completedRetention,
    watermark: BigInt(operations.watermark),
    cursors: {
      agentApplied: BigInt(cursors.agentApplied),
      runtimeObserved: BigInt(cursors.runtimeObserved),
      runtimeInjected: BigInt(cursors.runtimeInjected),
    },
  });
}
