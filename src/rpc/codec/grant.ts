/** Handle grants on the wire and within. */
import { create } from "@bufbuild/protobuf";
import type { ShownGrant } from "../../core/grants/shown-grants.ts";
import type { Deletion, FrameId, HandleDescriptor } from "../../core/grants/state.ts";
import type { SessionId } from "../../core/shared/ids.ts";
import {
  type HandleDescriptor as WireDescriptor,
  type HandleGrant,
  HandleGrantSchema,
  OrphanPolicy,
  type ProcessScope,
  type SessionProcessReport,
  SessionProcessReportSchema,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { makeEnumCodec } from "./enum-codec.ts";
import { checkOptionalId, type FieldCheck } from "./field-check.ts";
import { scopeFromProto, scopeToProto } from "./process-provenance.ts";
import { timestampToProto } from "./time.ts";

/** A scope as the grants of its session know it. */
export interface GrantScope {
  readonly sessionId: SessionId;
  /** Empty for the session itself. */
  readonly frameId: FrameId;
}

/** What becomes of processes that lose their last grant. */
export const orphanPolicies = makeEnumCodec<"report" | "cancel", OrphanPolicy>({
  report: OrphanPolicy.REPORT,
  cancel: OrphanPolicy.CANCEL,
});

/** A scope that must be there. */
export function grantScopeFromProto(
  check: FieldCheck,
  scope: ProcessScope | undefined,
  field: string,
): GrantScope {
  const { sessionId, agentFrameId = "" } = scopeFromProto(check, scope, field);
  return { sessionId, frameId: agentFrameId };
}

function grantScopeToProto({ sessionId, frameId }: GrantScope): ProcessScope {
  return scopeToProto({ sessionId, ...(frameId === "" ? {} : { agentFrameId: frameId }) });
}

/** What a scope calls a process; both parts may be missing. */
export function descriptorFromProto(
  check: FieldCheck,
  descriptor: WireDescriptor | undefined,
): HandleDescriptor {
  const kind = checkOptionalId(check, descriptor?.kind ?? "", "descriptor.kind");
  const label = checkOptionalId(check, descriptor?.label ?? "", "descriptor.label");
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(label === undefined ? {} : { label }),
  };
}

/** A grant of a session. */
export function grantToProto(sessionId: SessionId, grant: ShownGrant): HandleGrant {
  const { frameId, processId, descriptor, grantedAt, transferringTo } = grant;
  const { kind = "", label = "" } = descriptor;
  return create(HandleGrantSchema, {
    scope: grantScopeToProto({ sessionId, frameId }),
    processId,
    ...(kind === "" && label === "" ? {} : { descriptor: { kind, label } }),
    grantedAt: timestampToProto(grantedAt),
    ...(transferringTo && { transferringTo: grantScopeToProto(transferringTo) }),
  });
}

/** What a deletion did; empty when the session was deleted before. */
export function reportToProto(deletion: Deletion | null): SessionProcessReport {
  if (deletion === null) return create(SessionProcessReportSchema);
  return create(SessionProcessReportSchema, {
    revokedHandleCount: deletion.revokedCount,
    orphanedProcessIds: deletion.orphaned.toSorted(),
    cancelledProcessIds: deletion.cancelled.toSorted(),
    preservedProcessIds: deletion.preserved.toSorted(),
  });
}
