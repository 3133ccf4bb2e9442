/** What events of operations mean to watchers. A mass event is expanded operation by operation. */
import type { OperationId } from "../shared/ids.ts";
import type { OperationEvent } from "./operation-events.ts";
import { operationOf } from "./operation-fold.ts";
import type {
  Operation,
  OperationKind,
  OperationOutcome,
  OperationRegistry,
  PeerHandle,
} from "./operation-state.ts";

/** What happened to an operation. */
export type OperationChange =
  | {
      readonly code: "registered";
      readonly kind: OperationKind;
      readonly displayName: string;
    }
  | { readonly code: "provisioned" }
  | { readonly code: "peer_ready"; readonly peerHandle: PeerHandle }
  | { readonly code: "progressed"; readonly message?: string; readonly percent?: number }
  | { readonly code: "retire_requested"; readonly reason?: string }
  | {
      /** The event code says how: it is the type of the outcome. */
      readonly code: "ended";
      readonly outcome: OperationOutcome;
      readonly sequence: number;
    }
  | { readonly code: "collected" };

/** Something in the life of an operation, as watchers see it. */
export interface OperationEnvelopeEvent {
  readonly category: "operation_lifecycle";
  readonly operationId: OperationId;
  readonly change: OperationChange;
}

function envelopeOf(operationId: OperationId, change: OperationChange): OperationEnvelopeEvent {
  return { category: "operation_lifecycle", operationId, change };
}

function ending({ operationId, end }: Operation): readonly OperationEnvelopeEvent[] {
  if (end === undefined) return [];
  const { outcome, sequence } = end;
  return [envelopeOf(operationId, { code: "ended", outcome, sequence })];
}

/** The envelopes of an event of operations, between the registries around it. */
export function operationEnvelopes(
  before: OperationRegistry,
  event: OperationEvent,
  after: OperationRegistry,
): readonly OperationEnvelopeEvent[] {
  switch (event.type) {
    case "operation_registered": {
      const { operationId, kind, displayName } = event;
      return [envelopeOf(operationId, { code: "registered", kind, displayName })];
    }
    case "operation_provisioned":
      return [envelopeOf(event.operationId, { code: "provisioned" })];
    case "operation_peer_ready": {
      const { operationId, peerHandle } = event;
      return [envelopeOf(operationId, { code: "peer_ready", peerHandle })];
    }
    case "operation_progressed": {
      const { operationId, message, percent } = event;
      const said = message === undefined ? {} : { message };
      const share = percent === undefined ? {} : { percent };
      return [envelopeOf(operationId, { code: "progressed", ...said, ...share })];
    }
    case "operation_retire_requested": {
      const { operationId, reason } = event;
      const why = reason === undefined ? {} : { reason };
      return [envelopeOf(operationId, { code: "retire_requested", ...why })];
    }
    case "operations_terminated":
      return [...before.active.values()].flatMap((operationId) =>
        ending(operationOf(after, operationId)),
      );
    case "operations_collected":
      return event.operationIds.map((operationId) =>
        envelopeOf(operationId, { code: "collected" }),
      );
    case "completions_observed":
      return [];
    default:
      return ending(operationOf(after, event.operationId));
  }
}

/** The event code of a change. */
export function operationCode(change: OperationChange): string {
  return `operation.${change.code === "ended" ? change.outcome.type : change.code}`;
}
