/** What became of an input that was to be cancelled, on the wire. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { CancelOutcome } from "../../core/runtime/commands.ts";
import type { InputTarget } from "../../core/runtime/input-target.ts";
import {
  type CancelInputResult,
  CancelInputResultSchema,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { terminalOutcomeToProto } from "./input-status.ts";

type OutcomeInit = NonNullable<MessageInitShape<typeof CancelInputResultSchema>["outcome"]>;

function outcomeToProto(
  outcome: CancelOutcome | { readonly type: "anchor_not_found" },
): OutcomeInit {
  switch (outcome.type) {
    case "cancelled":
      return { case: "cancelled", value: {} };
    case "already_claimed":
      return { case: "alreadyClaimed", value: { runId: outcome.runId } };
    case "already_completed":
      return { case: "alreadyCompleted", value: terminalOutcomeToProto(outcome.outcome) };
    case "already_cancelled":
      return { case: "alreadyCancelled", value: {} };
    case "not_found":
      return { case: "notFound", value: {} };
    case "anchor_not_found":
      return { case: "anchorNotFound", value: {} };
  }
}

/** One result; `target` is how the request named the input, where it named it. */
export function cancelResultToProto(
  outcome: CancelOutcome | { readonly type: "anchor_not_found" },
  target?: InputTarget,
): CancelInputResult {
  const named = target !== undefined && "inputId" in target ? target.inputId : "";
  const key = target !== undefined && "idempotencyKey" in target ? target.idempotencyKey : "";
  return create(CancelInputResultSchema, {
    inputId: "inputId" in outcome ? outcome.inputId : named,
    idempotencyKey: key,
    outcome: outcomeToProto(outcome),
  });
}
