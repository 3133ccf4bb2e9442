/** Peer ingress and drains on the wire. */
import { create } from "@bufbuild/protobuf";
import type {
  Drain,
  DrainExitReason as CoreExitReason,
  DrainMode as CoreMode,
  DrainPhase as CorePhase,
  PeerEndpoint as CoreEndpoint,
} from "../../core/runtime/drain-state.ts";
import type { DrainChange as CoreChange, EnvelopeEvent } from "../../core/runtime/envelope.ts";
import {
  DrainChange,
  type DrainEvent,
  DrainEventSchema,
  DrainExitReason,
  DrainMode,
  DrainPhase,
  type PeerEndpoint,
  PeerEndpointSchema,
  type PeerIngress,
  PeerIngressSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { makeEnumCodec } from "./enum-codec.ts";
import { checkBoundedText, checkOptionalId, type FieldCheck, violate } from "./field-check.ts";
import { timestampToProto } from "./time.ts";

const ADDRESS_BYTES_MAX = 1_024;

const drainPhases = makeEnumCodec<CorePhase, DrainPhase>({
  inactive: DrainPhase.INACTIVE,
  starting: DrainPhase.STARTING,
  running: DrainPhase.RUNNING,
  exited_respawnable: DrainPhase.EXITED_RESPAWNABLE,
  stopped: DrainPhase.STOPPED,
});

/** For whom a drain runs. */
export const drainModes = makeEnumCodec<CoreMode, DrainMode>({
  attached_session: DrainMode.ATTACHED_SESSION,
  persistent_host: DrainMode.PERSISTENT_HOST,
});

/** Why a drain ended. */
export const drainExitReasons = makeEnumCodec<CoreExitReason, DrainExitReason>({
  dismissed: DrainExitReason.DISMISSED,
  failed: DrainExitReason.FAILED,
  aborted: DrainExitReason.ABORTED,
  session_shutdown: DrainExitReason.SESSION_SHUTDOWN,
});

const drainChanges = makeEnumCodec<CoreChange, DrainChange>({
  ingress_updated: DrainChange.INGRESS_UPDATED,
  started: DrainChange.STARTED,
  spawned: DrainChange.SPAWNED,
  exited: DrainChange.EXITED,
  aborted: DrainChange.ABORTED,
});

/** The endpoint of a request; null when it was not given. */
export function endpointFromProto(
  check: FieldCheck,
  endpoint: PeerEndpoint | undefined,
): CoreEndpoint | null {
  if (endpoint === undefined) return null;
  const field = "endpoint.address";
  const address = checkBoundedText(check, endpoint.address, field, ADDRESS_BYTES_MAX);
  if (address === undefined) violate(check, field, `is required: 1 to ${ADDRESS_BYTES_MAX} bytes`);
  return {
    address: address ?? "",
    peerName: checkOptionalId(check, endpoint.peerName, "endpoint.peer_name") ?? "",
    peerId: checkOptionalId(check, endpoint.peerId, "endpoint.peer_id") ?? "",
  };
}

/** An endpoint on the wire. */
export function endpointToProto(endpoint: CoreEndpoint): PeerEndpoint {
  return create(PeerEndpointSchema, { ...endpoint });
}

/** How peers reach a runtime, with its drain. */
export function peerIngressToProto(ingress: {
  readonly endpoint: CoreEndpoint | null;
  readonly keepAlive: boolean;
  readonly drain: Drain;
}): PeerIngress {
  const { endpoint, keepAlive, drain } = ingress;
  const { mode, lastExit, host, since, notBefore } = drain;
  return create(PeerIngressSchema, {
    ...(endpoint === null ? {} : { endpoint: endpointToProto(endpoint) }),
    keepAlive,
    phase: drainPhases.toProto(drain.phase),
    ...(mode === null ? {} : { mode: drainModes.toProto(mode) }),
    drainSequence: BigInt(drain.sequence),
    executorId: host?.executorId ?? "",
    incarnationId: host?.incarnationId ?? "",
    ...(lastExit === null ? {} : { lastExit: drainExitReasons.toProto(lastExit) }),
    ...(since === 0 ? {} : { since: timestampToProto(since) }),
    ...(notBefore === 0 ? {} : { notBefore: timestampToProto(notBefore) }),
  });
}

/** What happened about an ingress or a drain. */
export function drainEventToProto(
  event: Extract<EnvelopeEvent, { readonly category: "drain" }>,
): DrainEvent {
  const { mode, exitReason } = event;
  return create(DrainEventSchema, {
    change: drainChanges.toProto(event.change),
    drainSequence: BigInt(event.sequence),
    phase: drainPhases.toProto(event.phase),
    ...(mode === undefined ? {} : { mode: drainModes.toProto(mode) }),
    executorId: event.executorId ?? "",
    incarnationId: event.incarnationId ?? "",
    ...(exitReason === undefined ? {} : { exitReason: drainExitReasons.toProto(exitReason) }),
    reason: event.reason ?? "",
  });
}
