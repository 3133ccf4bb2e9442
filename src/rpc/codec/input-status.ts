/** The life of an input on the wire, told from the header that the folded state keeps. */
import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Input as CoreInput } from "../../core/runtime/input.ts";
import type {
  InputHeader,
  InputOutcome,
  InputTransition as CoreInputTransition,
} from "../../core/runtime/state.ts";
import {
  type InputStatus,
  InputLane,
  InputStatusSchema,
  type InputTerminalOutcome,
  InputTerminalOutcomeSchema,
  type InputTransition,
  InputTransitionSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { abandonReasons, durabilities, inputKinds, inputStates, lanes } from "./enums.ts";
import { inputToProto } from "./input-to-proto.ts";
import { policyToProto } from "./policy.ts";
import { timestampToProto } from "./time.ts";

function transitionToProto(
  transition: CoreInputTransition,
  time = timestampToProto(transition.at),
): InputTransition {
  return create(InputTransitionSchema, {
    time,
    fromState: inputStates.toProto(transition.from),
    toState: inputStates.toProto(transition.to),
    reason: transition.cause,
    revision: BigInt(transition.revision),
  });
}

/** The admission as the first step: it is told by the header itself, not by its transitions. */
function admissionToProto(header: InputHeader, time: Timestamp): InputTransition {
  const isQueued = header.lane !== undefined;
  const admission: CoreInputTransition = {
    at: header.admittedAt,
    from: "accepted",
    to: isQueued ? "queued" : "consumed",
    cause: isQueued ? "queue_accepted" : "consume_on_accept",
    revision: header.admittedRevision,
  };
  return transitionToProto(admission, time);
}

/** How an input ended. */
export function terminalOutcomeToProto(outcome: InputOutcome): InputTerminalOutcome {
  switch (outcome.type) {
    case "consumed":
      return create(InputTerminalOutcomeSchema, {
        outcome: { case: "consumed", value: { runId: outcome.runId ?? "" } },
      });
    case "superseded":
      return create(InputTerminalOutcomeSchema, {
        outcome: { case: "superseded", value: { byInputId: outcome.supersededBy } },
      });
    case "coalesced":
      return create(InputTerminalOutcomeSchema, {
        outcome: { case: "coalesced", value: { aggregateId: outcome.aggregateId } },
      });
    case "abandoned": {
      const value = {
        reason: abandonReasons.toProto(outcome.reason),
        attempts: outcome.attempts,
      };
      return create(InputTerminalOutcomeSchema, { outcome: { case: "abandoned", value } });
    }
  }
}

/** Where an input stands; with its payload when that is given. */
export function inputStatusToProto(header: InputHeader, payload?: CoreInput): InputStatus {
  const { outcome, lastBoundarySequence, lane } = header;
  const createdAt = timestampToProto(header.admittedAt);
  const isUnchanged = header.updatedAt === header.admittedAt;
  const isBackingOff = header.state === "queued" && header.notBefore > header.updatedAt;
  return create(InputStatusSchema, {
    inputId: header.inputId,
    state: inputStates.toProto(header.state),
    kind: inputKinds.toProto(header.kind),
    lane: lane === undefined ? InputLane.UNSPECIFIED : lanes.toProto(lane),
    policy: policyToProto(header.policy),
    ...(outcome === undefined ? {} : { terminalOutcome: terminalOutcomeToProto(outcome) }),
    attemptCount: header.attempts,
    ...(isBackingOff ? { nextAttemptTime: timestampToProto(header.notBefore) } : {}),
    history: [
      admissionToProto(header, createdAt),
      ...header.transitions.map((transition) => transitionToProto(transition)),
    ],
    idempotencyKey: header.idempotencyKey ?? "",
    supersessionKey: header.supersessionKey ?? "",
    correlationId: header.correlationId ?? "",
    lastRunId: header.lastRunId ?? "",
    ...(lastBoundarySequence === undefined
      ? {}
      : { lastBoundarySequence: BigInt(lastBoundarySequence) }),
    createdAt,
    updatedAt: isUnchanged ? createdAt : timestampToProto(header.updatedAt),
    admittedRevision: BigInt(header.admittedRevision),
    payloadBytes: header.payloadBytes,
    ...(payload === undefined ? {} : { input: inputToProto(payload) }),
    durability: durabilities.toProto(header.durability),
  });
}
