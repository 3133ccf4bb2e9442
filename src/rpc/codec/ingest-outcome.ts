/** What became of an ingest, on the wire; shared by unary calls, batches and streams. */
import { create } from "@bufbuild/protobuf";
import type { IngestOutcome, RejectReason } from "../../core/runtime/commands.ts";
import type { InputHeader } from "../../core/runtime/state.ts";
import { ErrorReason, ErrorReasonSchema } from "../../../gen/keelson/errors/v1/errors_pb.ts";
import {
  type IngestAccepted,
  IngestAcceptedSchema,
  type IngestDeduplicated,
  IngestDeduplicatedSchema,
  type IngestError,
  IngestErrorSchema,
  type IngestRejected,
  IngestRejectedSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { wireRefusalOf, type WireReason } from "../errors.ts";
import { runtimeStates } from "./enums.ts";
import { inputStatusToProto } from "./input-status.ts";
import { policyToProto } from "./policy.ts";
import { durationToProto } from "./time.ts";

/** The outcome as every response holds it. */
export type OutcomeMessage =
  | { readonly case: "accepted"; readonly value: IngestAccepted }
  | { readonly case: "deduplicated"; readonly value: IngestDeduplicated }
  | { readonly case: "rejected"; readonly value: IngestRejected };

function rejectionToProto(reason: RejectReason): IngestRejected {
  switch (reason.type) {
    case "not_ready": {
      const value = { state: runtimeStates.toProto(reason.state) };
      return create(IngestRejectedSchema, { reason: { case: "notReady", value } });
    }
    case "durability_violation": {
      const value = { detail: reason.detail };
      return create(IngestRejectedSchema, { reason: { case: "durabilityViolation", value } });
    }
    case "peer_handling_mode_invalid": {
      const value = { detail: reason.detail };
      return create(IngestRejectedSchema, { reason: { case: "peerHandlingModeInvalid", value } });
    }
  }
}

/** An input that was answered before its commit has no revision yet. */
function uncommitted(header: InputHeader): InputHeader {
  return { ...header, admittedRevision: 0 };
}

/** An input as its admission left it. */
export function acceptedToProto(header: InputHeader): IngestAccepted {
  const { decision } = policyToProto(header.policy);
  return create(IngestAcceptedSchema, {
    inputId: header.inputId,
    ...(decision === undefined ? {} : { policy: decision }),
    input: inputStatusToProto(header),
  });
}

/** What became of an ingest; `isCommitted` is false for an answer ahead of its commit. */
export function ingestOutcomeToProto(outcome: IngestOutcome, isCommitted: boolean): OutcomeMessage {
  switch (outcome.type) {
    case "accepted": {
      const header = isCommitted ? outcome.header : uncommitted(outcome.header);
      return { case: "accepted", value: acceptedToProto(header) };
    }
    case "deduplicated": {
      const { inputId, existingId, sameContent } = outcome;
      const value = create(IngestDeduplicatedSchema, { inputId, existingId, sameContent });
      return { case: "deduplicated", value };
    }
    case "rejected":
      return { case: "rejected", value: rejectionToProto(outcome.reason) };
  }
}

const REASON_NUMBERS = new Map(
  ErrorReasonSchema.values.map((value) => [value.localName, value.number as ErrorReason]),
);

/** The published number of a reason. */
export function reasonNumber(reason: WireReason): ErrorReason {
  return REASON_NUMBERS.get(reason) ?? ErrorReason.UNSPECIFIED;
}

/** Why an item of a batch or stream was refused, as a unary call would have been. */
export function ingestErrorOf(error: unknown): IngestError {
  const refusal = wireRefusalOf(error);
  const { retryAfterMs, violations = [] } = refusal;
  return create(IngestErrorSchema, {
    code: refusal.code,
    reason: reasonNumber(refusal.reason),
    message: refusal.message,
    metadata: { ...refusal.metadata },
    ...(retryAfterMs === undefined ? {} : { retryDelay: durationToProto(retryAfterMs) }),
    violations: violations.map((violation) => ({ ...violation })),
  });
}
