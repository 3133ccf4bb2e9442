/** Policy decisions on the wire; the few there are, are made once. */
import { create } from "@bufbuild/protobuf";
import {
  POLICY_REFERENCES,
  type PolicyDecision as CorePolicyDecision,
  policyOf,
} from "../../core/runtime/policy.ts";
import {
  type InputPolicy,
  InputPolicySchema,
  type PolicyDecision,
  PolicyDecisionSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  applyModes,
  consumePoints,
  drainPolicies,
  queueModes,
  routingDispositions,
  wakeModes,
} from "./enums.ts";

function decisionToProto(decision: CorePolicyDecision): PolicyDecision {
  return create(PolicyDecisionSchema, {
    applyMode: applyModes.toProto(decision.applyMode),
    wakeMode: wakeModes.toProto(decision.wakeMode),
    queueMode: queueModes.toProto(decision.queueMode),
    consumePoint: consumePoints.toProto(decision.consumePoint),
    drainPolicy: drainPolicies.toProto(decision.drainPolicy),
    routingDisposition: routingDispositions.toProto(decision.routingDisposition),
    recordTranscript: decision.recordTranscript,
    emitOperatorContent: decision.emitOperatorContent,
    policyVersion: decision.policyVersion,
  });
}

function policyMessage(reference: string): InputPolicy {
  const decision = decisionToProto(policyOf(reference));
  return create(InputPolicySchema, { version: decision.policyVersion, decision });
}

const POLICIES = new Map(
  POLICY_REFERENCES.map((reference) => [reference, policyMessage(reference)]),
);

/** The policy that a stored reference stands for; shared, not to be changed. */
export function policyToProto(reference: string): InputPolicy {
  return POLICIES.get(reference) ?? policyMessage(reference);
}
