/** Events of processes on the wire. */
import { create } from "@bufbuild/protobuf";
import type { DeferralCause } from "../../core/process/terms.ts";
import type { LoggedEvent } from "../../core/process/logged-event.ts";
import { hasOrdinal } from "../../core/process/ordinal-ranges.ts";
import type { PendingWake, ProcessState, WakeMark } from "../../core/process/state.ts";
import {
  type ProcessEvent,
  ProcessEventSchema,
  type ProcessWake,
  ProcessWakeSchema,
  WakeDeferralCause,
  WakeDeliveryState,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { makeEnumCodec } from "./enum-codec.ts";
import { jsonToProto } from "./json-value.ts";
import { wakeIdOf } from "./process-hashes.ts";
import { processStates } from "./process-enums.ts";
import { authorityToProto } from "./process-output.ts";
import { causeToProto } from "./process-provenance.ts";
import { timestampToProto } from "./time.ts";

function deliveryOf(settlement: WakeMark["settlement"]): {
  readonly state: WakeDeliveryState;
  readonly inputId?: string;
} {
  if (settlement === undefined) return { state: WakeDeliveryState.PENDING };
  if (settlement.type === "delivered") {
    return { state: WakeDeliveryState.DELIVERED, inputId: settlement.inputId };
  }
  return {
    state:
      settlement.cause === "expired" ? WakeDeliveryState.EXPIRED : WakeDeliveryState.TARGET_GONE,
  };
}

const deferralCauses = makeEnumCodec<DeferralCause, WakeDeferralCause>({
  not_registered: WakeDeferralCause.NOT_REGISTERED,
  not_ready: WakeDeferralCause.NOT_READY,
  queue_full: WakeDeferralCause.QUEUE_FULL,
  failed: WakeDeferralCause.FAILED,
});

/** Why a wake in the outbox waits, if it was tried. */
function deferralOf(pending: PendingWake | undefined) {
  if (pending?.cause === undefined) return {};
  const { attempts, notBefore, cause } = pending;
  const nextAttemptTime = timestampToProto(notBefore);
  return { deferral: { attempts, nextAttemptTime, cause: deferralCauses.toProto(cause) } };
}

function wakeToProto(
  state: Pick<ProcessState, "unacknowledgedWakes" | "outbox">,
  sequence: number,
  wake: NonNullable<LoggedEvent["appended"]["wake"]>,
  settlement: WakeMark["settlement"],
): ProcessWake {
  const { runtimeId, dedupeKey, input, wakeOrdinal } = wake;
  return create(ProcessWakeSchema, {
    wakeId: wakeIdOf(runtimeId, dedupeKey),
    runtimeId,
    dedupeKey,
    input,
    ...deliveryOf(settlement),
    acknowledged: !hasOrdinal(state.unacknowledgedWakes, wakeOrdinal),
    ...deferralOf(state.outbox.get(sequence)),
  });
}

/**
 * An event on the wire. How far its wake is comes from the state; a settlement that the state has
 * forgotten, from the event's record.
 */
export function eventToProto(
  state: Pick<ProcessState, "processId" | "unacknowledgedWakes" | "outbox">,
  { place, at, appended }: LoggedEvent,
  settlement: WakeMark["settlement"],
): ProcessEvent {
  const { eventType, payload, replayKey = "", causedBy, generation = 0 } = appended;
  const { terminal, authority, wake } = appended;
  return create(ProcessEventSchema, {
    processId: state.processId,
    sequence: BigInt(place.sequence),
    eventType,
    payload: jsonToProto(payload),
    replayKey,
    ...(causedBy && { causedBy: causeToProto(causedBy) }),
    generation: BigInt(generation),
    ...(terminal && { terminalState: processStates.toProto(terminal) }),
    ...(authority && { authority: authorityToProto(authority) }),
    ...(wake && { wake: wakeToProto(state, place.sequence, wake, settlement) }),
    occurredAt: timestampToProto(at),
    revision: BigInt(place.revision),
  });
}
