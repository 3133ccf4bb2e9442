/** Event envelopes on the wire. */
import { create } from "@bufbuild/protobuf";
import type {
  EnvelopeEvent,
  ExecutorChange as CoreExecutorChange,
  InputChange,
  RunChange,
  RuntimeEventEnvelope as CoreEnvelope,
  TopologyChange as CoreTopologyChange,
} from "../../core/runtime/envelope.ts";
import type { InputId, RunId, RuntimeId } from "../../core/shared/ids.ts";
import {
  ExecutorChange,
  ExecutorEventSchema,
  type InputLifecycleEvent,
  InputLifecycleEventSchema,
  PublishedEventSchema,
  RunFailureCause,
  type RunLifecycleEvent,
  RunLifecycleEventSchema,
  RuntimeEventCategory,
  type RuntimeEventEnvelope,
  RuntimeEventEnvelopeSchema,
  RuntimeStateChangeSchema,
  TopologyChange,
  TopologyEventSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { makeEnumCodec } from "./enum-codec.ts";
import { abandonReasons, inputKinds, inputStates, lanes, runtimeStates } from "./enums.ts";
import { jsonToProto } from "./json-value.ts";
import { operationEventToProto } from "./operation-event.ts";
import { drainEventToProto } from "./peer-ingress.ts";
import { receiptToProto } from "./receipt.ts";
import { timestampToProto } from "./time.ts";

/** Categories of events, for filters. */
export const eventCategories = makeEnumCodec<EnvelopeEvent["category"], RuntimeEventCategory>({
  input_lifecycle: RuntimeEventCategory.INPUT_LIFECYCLE,
  run_lifecycle: RuntimeEventCategory.RUN_LIFECYCLE,
  runtime_state_change: RuntimeEventCategory.RUNTIME_STATE_CHANGE,
  topology: RuntimeEventCategory.TOPOLOGY,
  executor: RuntimeEventCategory.EXECUTOR,
  drain: RuntimeEventCategory.DRAIN,
  published: RuntimeEventCategory.PUBLISHED,
  operation_lifecycle: RuntimeEventCategory.OPERATION_LIFECYCLE,
});

const topologyChanges = makeEnumCodec<CoreTopologyChange, TopologyChange>({
  runtime_created: TopologyChange.RUNTIME_CREATED,
  runtime_registered: TopologyChange.RUNTIME_REGISTERED,
  runtime_configured: TopologyChange.RUNTIME_CONFIGURED,
  runtime_unregistered: TopologyChange.RUNTIME_UNREGISTERED,
  runtime_retired: TopologyChange.RUNTIME_RETIRED,
  runtime_recycled: TopologyChange.RUNTIME_RECYCLED,
  runtime_reset: TopologyChange.RUNTIME_RESET,
  runtime_recovered: TopologyChange.RUNTIME_RECOVERED,
  runtime_stopped: TopologyChange.RUNTIME_STOPPED,
  runtime_destroyed: TopologyChange.RUNTIME_DESTROYED,
  silent_intents_set: TopologyChange.SILENT_INTENTS_SET,
});

const executorChanges = makeEnumCodec<CoreExecutorChange, ExecutorChange>({
  lease_granted: ExecutorChange.LEASE_GRANTED,
  lease_released: ExecutorChange.LEASE_RELEASED,
  lease_lapsed: ExecutorChange.LEASE_LAPSED,
  lease_fenced: ExecutorChange.LEASE_FENCED,
  interrupt_requested: ExecutorChange.INTERRUPT_REQUESTED,
});

type FailureCause = Extract<RunChange, { readonly code: "failed" }>["cause"];

const failureCauses = makeEnumCodec<FailureCause, RunFailureCause>({
  executor: RunFailureCause.EXECUTOR,
  lease: RunFailureCause.LEASE_LAPSED,
  fence: RunFailureCause.FENCED,
});

function inputEventToProto(inputId: InputId, change: InputChange): InputLifecycleEvent {
  const schema = InputLifecycleEventSchema;
  switch (change.code) {
    case "accepted": {
      const value = { kind: inputKinds.toProto(change.kind) };
      return create(schema, { inputId, change: { case: "accepted", value } });
    }
    case "queued": {
      const value = { lane: lanes.toProto(change.lane) };
      return create(schema, { inputId, change: { case: "queued", value } });
    }
    case "staged": {
      const value = { runId: change.runId };
      return create(schema, { inputId, change: { case: "staged", value } });
    }
    case "applied": {
      const boundarySequence = BigInt(change.boundarySequence);
      const value = { runId: change.runId, boundarySequence };
      return create(schema, { inputId, change: { case: "applied", value } });
    }
    case "consumed": {
      const value = { runId: change.runId ?? "" };
      return create(schema, { inputId, change: { case: "consumed", value } });
    }
    case "superseded": {
      const value = { byInputId: change.supersededBy };
      return create(schema, { inputId, change: { case: "superseded", value } });
    }
    case "coalesced": {
      const value = { aggregateId: change.aggregateId };
      return create(schema, { inputId, change: { case: "coalesced", value } });
    }
    case "abandoned": {
      const { attempts, detail = "" } = change;
      const value = { reason: abandonReasons.toProto(change.reason), detail, attempts };
      return create(schema, { inputId, change: { case: "abandoned", value } });
    }
    case "state_transitioned": {
      const fromState = inputStates.toProto(change.from);
      const toState = inputStates.toProto(change.to);
      const value = { fromState, toState, reason: change.cause };
      return create(schema, { inputId, change: { case: "stateTransitioned", value } });
    }
  }
}

function runEventToProto(
  runtimeId: RuntimeId,
  runId: RunId,
  change: RunChange,
  commitHash: Uint8Array | undefined,
): RunLifecycleEvent {
  const schema = RunLifecycleEventSchema;
  switch (change.code) {
    case "started": {
      const value = { contributingInputIds: [...change.inputIds] };
      return create(schema, { runId, change: { case: "started", value } });
    }
    case "acknowledged":
      return create(schema, { runId, change: { case: "acknowledged", value: {} } });
    case "boundary_committed": {
      const receipt = receiptToProto(runtimeId, change.receipt, commitHash);
      const value = { receipt, steeredInputIds: [...change.steered] };
      return create(schema, { runId, change: { case: "boundaryCommitted", value } });
    }
    case "completed":
      return create(schema, { runId, change: { case: "completed", value: {} } });
    case "failed": {
      const { error, recoverable } = change;
      const value = { error, recoverable, cause: failureCauses.toProto(change.cause) };
      return create(schema, { runId, change: { case: "failed", value } });
    }
    case "cancelled": {
      const value = { requeue: change.requeue };
      return create(schema, { runId, change: { case: "cancelled", value } });
    }
    case "returned": {
      const value = { releasedByExecutor: change.how === "released" };
      return create(schema, { runId, change: { case: "returned", value } });
    }
  }
}

function eventToProto(
  runtimeId: RuntimeId,
  event: EnvelopeEvent,
  commitHash: Uint8Array | undefined,
): RuntimeEventEnvelope["event"] {
  switch (event.category) {
    case "input_lifecycle":
      return { case: "inputLifecycle", value: inputEventToProto(event.inputId, event.change) };
    case "run_lifecycle": {
      const value = runEventToProto(runtimeId, event.runId, event.change, commitHash);
      return { case: "runLifecycle", value };
    }
    case "runtime_state_change": {
      const fromState = runtimeStates.toProto(event.from);
      const toState = runtimeStates.toProto(event.to);
      const value = create(RuntimeStateChangeSchema, { fromState, toState });
      return { case: "runtimeStateChange", value };
    }
    case "topology": {
      const { epochId, reason = "" } = event;
      const change = topologyChanges.toProto(event.change);
      return { case: "topology", value: create(TopologyEventSchema, { change, epochId, reason }) };
    }
    case "executor": {
      const value = create(ExecutorEventSchema, {
        change: executorChanges.toProto(event.change),
        executorId: event.executorId ?? "",
        incarnationId: event.incarnationId ?? "",
        generation: BigInt(event.generation),
        runId: event.runId ?? "",
        reason: event.reason ?? "",
      });
      return { case: "executor", value };
    }
    case "drain":
      return { case: "drain", value: drainEventToProto(event) };
    case "operation_lifecycle":
      return { case: "operationLifecycle", value: operationEventToProto(event) };
    case "published": {
      const value = create(PublishedEventSchema, { payload: jsonToProto(event.payload) });
      return { case: "publishedEvent", value };
    }
  }
}

/** An envelope; the hash is that of its commit, absent for planned events. */
export function envelopeToProto(
  envelope: CoreEnvelope,
  commitHash?: Uint8Array,
): RuntimeEventEnvelope {
  return create(RuntimeEventEnvelopeSchema, {
    eventId: envelope.eventId,
    time: timestampToProto(envelope.at),
    runtimeId: envelope.runtimeId,
    revision: BigInt(envelope.revision),
    index: envelope.index,
    eventCode: envelope.eventCode,
    event: eventToProto(envelope.runtimeId, envelope.event, commitHash),
    causationId: envelope.causationId ?? "",
    correlationId: envelope.correlationId ?? "",
    published: envelope.published,
  });
}
