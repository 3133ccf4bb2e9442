/** What callers say about operations, checked field by field. */
import type { OperationResult as CoreResult } from "../../core/runtime/operation-events.ts";
import type {
  OperationSpec as CoreSpec,
  PeerHandle as CorePeerHandle,
} from "../../core/runtime/operation-state.ts";
import { operationIdOf } from "../../core/shared/ids.ts";
import type {
  OperationResult,
  OperationSpec,
  PeerHandle,
} from "../../../gen/keelson/operation/v1/messages_pb.ts";
import { checkEnum } from "./enum-codec.ts";
import {
  checkBoundedText,
  checkCount,
  checkId,
  checkOptionalId,
  checkText,
  type FieldCheck,
  violate,
} from "./field-check.ts";
import { jsonFromProto } from "./json-value.ts";
import { registeredKinds } from "./operation.ts";
import { durationFromProto } from "./time.ts";

/** Most bytes of the error of an operation; it stays in the folded state. */
const ERROR_BYTES_MAX = 4_096;

/** What an operation is to be registered as; a fresh id is made when there is none. */
export function operationSpecFromProto(
  check: FieldCheck,
  spec: OperationSpec | undefined,
  freshId: () => string,
): { readonly spec: CoreSpec; readonly operationIdIsFresh: boolean } | undefined {
  if (spec === undefined) {
    violate(check, "spec", "is required");
    return undefined;
  }
  const operationId = checkOptionalId(check, spec.operationId, "spec.operation_id");
  const kind = checkEnum(check, registeredKinds, spec.kind, "spec.kind") ?? "background_tool_op";
  const sourceLabel = checkOptionalId(check, spec.sourceLabel, "spec.source_label");
  const childRuntimeId = checkOptionalId(check, spec.childRuntimeId, "spec.child_runtime_id");
  const { expectPeerChannel } = spec;
  if (expectPeerChannel && kind !== "mob_member_child") {
    violate(check, "spec.expect_peer_channel", "is only for OPERATION_KIND_MOB_MEMBER_CHILD");
  }
  return {
    spec: {
      operationId: operationIdOf(operationId ?? freshId()),
      kind,
      displayName: checkId(check, spec.displayName, "spec.display_name"),
      ...(sourceLabel === undefined ? {} : { sourceLabel }),
      ...(childRuntimeId === undefined ? {} : { childRuntimeId }),
      expectPeerChannel,
    },
    operationIdIsFresh: operationId === undefined,
  };
}

/** How to reach a peer; every member is required. */
export function peerHandleFromProto(
  check: FieldCheck,
  handle: PeerHandle | undefined,
): CorePeerHandle {
  const { peerName = "", trustedPeer } = handle ?? {};
  const { name = "", peerId = "", address = "" } = trustedPeer ?? {};
  return {
    peerName: checkId(check, peerName, "peer_handle.peer_name"),
    trustedPeer: {
      name: checkId(check, name, "peer_handle.trusted_peer.name"),
      peerId: checkId(check, peerId, "peer_handle.trusted_peer.peer_id"),
      address: checkId(check, address, "peer_handle.trusted_peer.address"),
    },
  };
}

/** What an operation came to. */
export function operationResultFromProto(
  check: FieldCheck,
  result: OperationResult | undefined,
): CoreResult {
  if (result === undefined) {
    violate(check, "result", "is required");
    return { content: "", isError: false };
  }
  const { structured, isError, duration, tokensUsed } = result;
  const durationMs = duration === undefined ? undefined : durationFromProto(duration);
  if (duration !== undefined && durationMs === undefined) {
    violate(check, "result.duration", "must not be negative");
  }
  return {
    content: checkText(check, result.content, "result.content"),
    ...(structured === undefined
      ? {}
      : { structured: jsonFromProto(check, structured, "result.structured") }),
    isError,
    ...(durationMs === undefined ? {} : { durationMs }),
    ...(tokensUsed === undefined
      ? {}
      : { tokensUsed: checkCount(check, tokensUsed, "result.tokens_used") }),
  };
}

/** What went wrong; required. */
export function operationErrorFromProto(check: FieldCheck, error: string): string {
  const checked = checkBoundedText(check, error, "error", ERROR_BYTES_MAX);
  if (checked === undefined) violate(check, "error", `is required: 1 to ${ERROR_BYTES_MAX} bytes`);
  return checked ?? "";
}
