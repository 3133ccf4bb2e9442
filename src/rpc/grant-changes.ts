/** GrantHandle, RevokeHandle, TransferHandleGrants and DeleteSessionProcessState. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type ProcessId, sessionIdOf } from "../core/shared/ids.ts";
import {
  DeleteSessionProcessStateRequestSchema,
  DeleteSessionProcessStateResponseSchema,
  GrantHandleRequestSchema,
  GrantHandleResponseSchema,
  type ProcessRegistryService,
  RevokeHandleRequestSchema,
  RevokeHandleResponseSchema,
  TransferHandleGrantsRequestSchema,
  TransferHandleGrantsResponseSchema,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { checkOptionalEnum } from "./codec/enum-codec.ts";
import {
  checkId,
  checkOptionalId,
  type FieldCheck,
  finish,
  makeFieldCheck,
  violate,
} from "./codec/field-check.ts";
import {
  descriptorFromProto,
  grantScopeFromProto,
  grantToProto,
  orphanPolicies,
  reportToProto,
} from "./codec/grant.ts";
import { requestHash } from "./codec/request-hash.ts";
import type { GrantServiceOptions } from "./grant-options.ts";
import { checkProcess, checkTerms, commandEnvelope } from "./process-calls.ts";

type GrantChangeService = Pick<
  ServiceImpl<typeof ProcessRegistryService>,
  "grantHandle" | "revokeHandle" | "transferHandleGrants" | "deleteSessionProcessState"
>;

/** Most processes that one call may move. */
export const TRANSFER_MAX = 1_000;
/** Why a process is asked to cancel that nobody holds after a deletion. */
const DELETION_REASON = "session deleted";

/** The processes of a transfer, each once. */
function checkProcessIds(
  check: FieldCheck,
  namespace: string,
  wire: readonly string[],
): readonly ProcessId[] {
  if (wire.length > TRANSFER_MAX) {
    violate(check, "process_ids", `has ${wire.length} ids, at most ${TRANSFER_MAX} are allowed`);
    return [];
  }
  const earlier = new Set<string>();
  return wire.map((text, index) => {
    const field = `process_ids[${index}]`;
    if (earlier.has(text)) violate(check, field, "is named twice");
    earlier.add(text);
    return checkProcess(check, namespace, text, field).processId;
  });
}

/** Makes the part of the service that changes grants. */
export function makeGrantChanges(options: GrantServiceOptions): GrantChangeService {
  const { handles, tasks } = options;

  return {
    grantHandle: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { namespace } = caller;
      const { sessionId, frameId } = grantScopeFromProto(check, request.scope, "scope");
      const { processId } = checkProcess(check, namespace, request.processId);
      const descriptor = descriptorFromProto(check, request.descriptor);
      const hashOf = (): string => requestHash(GrantHandleRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const command = { type: "grant_handle" as const, frameId, processId, descriptor };
      const envelope = commandEnvelope(caller, command, terms);
      const granted = await handles.grant({ namespace, sessionId, envelope });
      return create(GrantHandleResponseSchema, {
        grant: grantToProto(sessionId, granted.handle),
        created: granted.created,
        revision: BigInt(granted.revision),
      });
    },

    revokeHandle: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { namespace } = caller;
      const { sessionId, frameId } = grantScopeFromProto(check, request.scope, "scope");
      const { processId } = checkProcess(check, namespace, request.processId);
      const hashOf = (): string => requestHash(RevokeHandleRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const command = { type: "revoke_handle" as const, frameId, processId };
      const envelope = commandEnvelope(caller, command, terms);
      const { revoked, revision } = await handles.revoke({ namespace, sessionId, envelope });
      return create(RevokeHandleResponseSchema, { revoked, revision: BigInt(revision) });
    },

    transferHandleGrants: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { namespace } = caller;
      const { sessionId, frameId: fromFrameId } = grantScopeFromProto(check, request.from, "from");
      const to = grantScopeFromProto(check, request.to, "to");
      const { sessionId: toSessionId, frameId: toFrameId } = to;
      const isWithin = sessionId === toSessionId;
      if (isWithin && fromFrameId === toFrameId) violate(check, "to", "must be another scope");
      const processIds = checkProcessIds(check, namespace, request.processIds);
      const hashOf = (): string => requestHash(TransferHandleGrantsRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf, false);
      finish(check);
      const scopes = { fromFrameId, toFrameId, processIds };
      const call = { namespace, sessionId };
      const move = { type: "move_handles" as const, ...scopes };
      const begin = { type: "begin_transfer" as const, toSessionId, ...scopes };
      const moved = isWithin
        ? await handles.move({ ...call, envelope: commandEnvelope(caller, move, terms) })
        : await handles.transfer({ ...call, envelope: commandEnvelope(caller, begin, terms) });
      return create(TransferHandleGrantsResponseSchema, {
        grants: moved.handles.map((handle) => grantToProto(toSessionId, handle)),
        revision: BigInt(moved.revision),
      });
    },

    deleteSessionProcessState: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { namespace } = caller;
      const sessionId = sessionIdOf(checkId(check, request.sessionId, "session_id"));
      const field = "orphan_policy";
      const policy = checkOptionalEnum(check, orphanPolicies, request.orphanPolicy, field);
      const hashOf = (): string => requestHash(DeleteSessionProcessStateRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      const successor = checkOptionalId(check, request.successorSessionId, "successor_session_id");
      if (successor === sessionId) {
        violate(check, "successor_session_id", "must be another session");
      }
      finish(check);
      if (successor !== undefined) {
        await tasks.handOn({ namespace, sessionId }, sessionIdOf(successor));
      }
      const command = {
        type: "delete_session" as const,
        cancelOrphans: policy === "cancel",
        reason: DELETION_REASON,
      };
      const envelope = commandEnvelope(caller, command, terms);
      const deleted = await handles.deleteSession({ namespace, sessionId, envelope });
      return create(DeleteSessionProcessStateResponseSchema, {
        report: reportToProto(deleted.deletion),
        revision: BigInt(deleted.revision),
      });
    },
  };
}
