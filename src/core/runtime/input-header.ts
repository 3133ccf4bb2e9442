/** The header of an input as its admission leaves it: queued in its lane, or consumed on accept. */
import type { EventPosition } from "../shared/aggregate.ts";
import type { InputId } from "../shared/ids.ts";
import type { RuntimeEvent } from "./events.ts";
import { kindOf, laneOfPolicy, policyOf } from "./policy.ts";
import type { InputHeader } from "./state.ts";

/** The header that an admission puts into the state. */
export function admittedHeader(
  event: Extract<RuntimeEvent, { readonly type: "input_admitted" }>,
  position: EventPosition,
): InputHeader {
  const { input } = event;
  const lane = laneOfPolicy(policyOf(event.policy));
  const { idempotencyKey, supersessionKey, correlationId } = input;
  return {
    inputId: input.inputId,
    ordinal: event.ordinal,
    kind: kindOf(input.body),
    state: lane === undefined ? "consumed" : "queued",
    ...(lane === undefined ? {} : { lane }),
    policy: event.policy,
    durability: input.durability,
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    ...(supersessionKey === undefined ? {} : { supersessionKey }),
    ...(correlationId === undefined ? {} : { correlationId }),
    bodyHash: event.bodyHash,
    payloadBytes: event.payloadBytes,
    admittedAt: position.at,
    admittedRevision: position.revision,
    updatedAt: position.at,
    attempts: 0,
    notBefore: 0,
    ...(lane === undefined
      ? { outcome: { type: "consumed" as const }, completedRevision: position.revision }
      : {}),
    transitions: [],
  };
}

/** The header of an input as its admission left it; undefined when the events do not admit it. */
export function acceptedHeader(
  inputId: InputId,
  events: readonly RuntimeEvent[],
  position: EventPosition,
): InputHeader | undefined {
  for (const event of events) {
    if (event.type === "input_admitted" && event.input.inputId === inputId) {
      return admittedHeader(event, position);
    }
  }
  return undefined;
}
