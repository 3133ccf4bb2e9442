/** Events of operations on the wire, as watchers of a runtime see them. */
import { create } from "@bufbuild/protobuf";
import type { OperationEnvelopeEvent } from "../../core/runtime/operation-envelopes.ts";
import {
  type OperationLifecycleEvent,
  OperationLifecycleEventSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { operationOutcomeToProto, peerHandleToProto, registeredKinds } from "./operation.ts";

/** Something in the life of an operation. */
export function operationEventToProto(event: OperationEnvelopeEvent): OperationLifecycleEvent {
  const schema = OperationLifecycleEventSchema;
  const { operationId, change } = event;
  switch (change.code) {
    case "registered": {
      const value = {
        kind: registeredKinds.toProto(change.kind),
        displayName: change.displayName,
      };
      return create(schema, { operationId, change: { case: "registered", value } });
    }
    case "provisioned":
    case "collected":
      return create(schema, { operationId, change: { case: change.code, value: {} } });
    case "peer_ready": {
      const value = { peerHandle: peerHandleToProto(change.peerHandle) };
      return create(schema, { operationId, change: { case: "peerReady", value } });
    }
    case "progressed": {
      const { message = "", percent } = change;
      const value = { message, ...(percent === undefined ? {} : { percent }) };
      return create(schema, { operationId, change: { case: "progressed", value } });
    }
    case "retire_requested": {
      const value = { reason: change.reason ?? "" };
      return create(schema, { operationId, change: { case: "retireRequested", value } });
    }
    case "ended": {
      const value = {
        outcome: operationOutcomeToProto(change.outcome),
        completionSequence: BigInt(change.sequence),
      };
      return create(schema, { operationId, change: { case: "ended", value } });
    }
  }
}
