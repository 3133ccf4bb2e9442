/** Everything that changes operations: from RegisterOperation to CollectCompleted. */
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { OperationCommand } from "../core/runtime/operation-commands.ts";
import type { OperationResult } from "../core/runtime/operation-events.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { RuntimeReply } from "../core/runtime/commands.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import { epochIdOf, type OperationId, operationIdOf, type StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { canonicalText } from "../engine/commit-codec.ts";
import type { Committed } from "../engine/stream-entry.ts";
import type { Operation } from "../../gen/keelson/operation/v1/messages_pb.ts";
import {
  AbortProvisioningRequestSchema,
  AbortProvisioningResponseSchema,
  CancelOperationRequestSchema,
  CancelOperationResponseSchema,
  CollectCompletedRequestSchema,
  CollectCompletedResponseSchema,
  CompleteOperationRequestSchema,
  CompleteOperationResponseSchema,
  FailOperationRequestSchema,
  FailOperationResponseSchema,
  FailProvisioningRequestSchema,
  FailProvisioningResponseSchema,
  MarkProvisionedRequestSchema,
  MarkProvisionedResponseSchema,
  MarkRetiredRequestSchema,
  MarkRetiredResponseSchema,
  type OperationService,
  RegisterOperationRequestSchema,
  RegisterOperationResponseSchema,
  ReportPeerReadyRequestSchema,
  ReportPeerReadyResponseSchema,
  ReportProgressRequestSchema,
  ReportProgressResponseSchema,
  RequestRetireOperationRequestSchema,
  RequestRetireOperationResponseSchema,
  TerminateOwnerRequestSchema,
  TerminateOwnerResponseSchema,
} from "../../gen/keelson/operation/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import {
  checkBoundedText,
  checkCount,
  checkId,
  checkOptionalId,
  type FieldCheck,
  finish,
  makeFieldCheck,
  REASON_BYTES_MAX,
  violate,
} from "./codec/field-check.ts";
import {
  operationErrorFromProto,
  operationResultFromProto,
  operationSpecFromProto,
  peerHandleFromProto,
} from "./codec/operation-from-proto.ts";
import { registryToProto } from "./codec/operation.ts";
import { PAGE_SIZE_MAX } from "./codec/page-token.ts";
import { callerEnvelope, checkRequestMark } from "./command-envelope.ts";
import { requestHash } from "./codec/request-hash.ts";
import type { OperationServiceOptions } from "./operation-options.ts";
import { checkRuntime } from "./runtime-calls.ts";
import { showOperation, showOperations } from "./shown-operations.ts";
import { findOperation, readResults, RESULTS_BYTES_MAX } from "./stored-operations.ts";

type ChangeService = Omit<
  ServiceImpl<typeof OperationService>,
  | "getOperation"
  | "listOperations"
  | "watchOperation"
  | "waitAll"
  | "waitAny"
  | "listCompletions"
  | "waitCompletions"
>;
type Done = Committed<RuntimeState, RuntimeEvent, RuntimeReply>;

/** Bytes of a command without a result, near enough. */
const COMMAND_BYTES = 600;
const PERCENT_MAX = 100;

/** What the requests of all changes have. */
interface ChangeRequest {
  readonly runtimeId: string;
  readonly requestId: string;
}

/** What the answers about one operation have. */
interface ChangedOperation {
  readonly operation: Operation;
  readonly revision: bigint;
}

function checkReason(check: FieldCheck, reason: string): { readonly reason?: string } {
  const checked = checkBoundedText(check, reason, "reason", REASON_BYTES_MAX);
  return checked === undefined ? {} : { reason: checked };
}

function checkEpoch(check: FieldCheck, epochId: string) {
  const expected = checkOptionalId(check, epochId, "expected_epoch_id");
  return expected === undefined ? {} : { expectedEpochId: epochIdOf(expected) };
}

/** Bytes of a result. Throws RESULT_TOO_LARGE. */
function checkedBytes(result: OperationResult, limitBytes: number): number {
  const actualBytes = Buffer.byteLength(canonicalText(result));
  if (actualBytes <= limitBytes) return actualBytes;
  const message = `The result has ${actualBytes} bytes, at most ${limitBytes} are allowed`;
  throw new RefusedError(refusalOf("RESULT_TOO_LARGE", message, { limitBytes, actualBytes }));
}

/** Commands that would count or take twice what is sent twice. */
const COUNTING: readonly OperationCommand["type"][] = [
  "report_operation_progress",
  "collect_completed",
];

function isRetrySafe(command: OperationCommand, requestId: string | undefined): boolean {
  if (requestId !== undefined) return true;
  const isFresh = command.type === "register_operation" && command.operationIdIsFresh;
  return !isFresh && !COUNTING.includes(command.type);
}

/** Makes the changing part of the service. */
export function makeOperationChanges(options: OperationServiceOptions): ChangeService {
  const { streams, limits, entropy, waits } = options;

  async function submit<Desc extends DescMessage>(
    context: HandlerContext,
    schema: Desc,
    request: MessageShape<Desc> & ChangeRequest,
    commandOf: (check: FieldCheck) => OperationCommand | undefined,
  ): Promise<{ readonly stream: StreamName; readonly done: Done }> {
    const check = makeFieldCheck();
    const caller = callerOf(context);
    const { stream } = checkRuntime(check, caller.namespace, request.runtimeId);
    const command = commandOf(check);
    const hashOf = (): string => requestHash(schema, request);
    const mark = checkRequestMark(check, request.requestId, hashOf);
    finish(check);
    // `finish` has thrown when there is none.
    if (command === undefined) throw new TypeError("A call without a command");
    const resultBytes =
      command.type === "complete_operation"
        ? checkedBytes(command.result, limits.runResultBytesMax)
        : 0;
    const sized = command.type === "complete_operation" ? { ...command, resultBytes } : command;
    const bytes = COMMAND_BYTES + resultBytes;
    const terms = { bytes, retrySafe: isRetrySafe(command, mark?.requestId) };
    const done = await streams.submit(stream, callerEnvelope(caller, sized, mark, terms));
    return { stream, done };
  }

  /** The operation that a reply names; after a repeated call it may be out of the registry. */
  async function changed(stream: StreamName, done: Done): Promise<ChangedOperation> {
    const { reply, state, revision } = done;
    if (reply.type !== "operation") throw new TypeError(`Answered with ${reply.type}`);
    const held = state.operations.operations.get(reply.operationId);
    const operation =
      held ??
      (await findOperation(streams, stream, await streams.known(stream), reply.operationId));
    return {
      operation: showOperation(waits, stream, { state }, operation),
      revision: BigInt(revision),
    };
  }

  /** A call about one operation that is there. */
  async function step<Desc extends DescMessage>(
    context: HandlerContext,
    schema: Desc,
    request: MessageShape<Desc> & ChangeRequest & { readonly operationId: string },
    commandOf: (check: FieldCheck, operationId: OperationId) => OperationCommand,
  ): Promise<ChangedOperation> {
    const { stream, done } = await submit(context, schema, request, (check) => {
      const operationId = operationIdOf(checkId(check, request.operationId, "operation_id"));
      return commandOf(check, operationId);
    });
    return await changed(stream, done);
  }

  return {
    registerOperation: async (request, context) => {
      const schema = RegisterOperationRequestSchema;
      const { stream, done } = await submit(context, schema, request, (check) => {
        const asked = operationSpecFromProto(check, request.spec, entropy.freshId);
        const epoch = checkEpoch(check, request.expectedEpochId);
        return asked && { type: "register_operation", ...asked, ...epoch };
      });
      return create(RegisterOperationResponseSchema, await changed(stream, done));
    },

    markProvisioned: async (request, context) => {
      const type = "mark_operation_provisioned";
      const done = await step(context, MarkProvisionedRequestSchema, request, (_, operationId) => {
        return { type, operationId };
      });
      return create(MarkProvisionedResponseSchema, done);
    },

    failProvisioning: async (request, context) => {
      const type = "fail_operation_provisioning";
      const schema = FailProvisioningRequestSchema;
      const done = await step(context, schema, request, (check, operationId) => {
        return { type, operationId, error: operationErrorFromProto(check, request.error) };
      });
      return create(FailProvisioningResponseSchema, done);
    },

    abortProvisioning: async (request, context) => {
      const type = "abort_operation_provisioning";
      const schema = AbortProvisioningRequestSchema;
      const done = await step(context, schema, request, (check, operationId) => {
        return { type, operationId, ...checkReason(check, request.reason) };
      });
      return create(AbortProvisioningResponseSchema, done);
    },

    reportPeerReady: async (request, context) => {
      const type = "report_operation_peer_ready";
      const schema = ReportPeerReadyRequestSchema;
      const done = await step(context, schema, request, (check, operationId) => {
        return { type, operationId, peerHandle: peerHandleFromProto(check, request.peerHandle) };
      });
      return create(ReportPeerReadyResponseSchema, done);
    },

    reportProgress: async (request, context) => {
      const type = "report_operation_progress";
      const schema = ReportProgressRequestSchema;
      const done = await step(context, schema, request, (check, operationId) => {
        const message = checkBoundedText(check, request.message, "message", REASON_BYTES_MAX);
        const { percent } = request;
        if (percent !== undefined && percent > PERCENT_MAX) {
          violate(check, "percent", `must be from 0 to ${PERCENT_MAX}`);
        }
        return {
          type,
          operationId,
          ...(message === undefined ? {} : { message }),
          ...(percent === undefined ? {} : { percent }),
        };
      });
      return create(ReportProgressResponseSchema, done);
    },

    completeOperation: async (request, context) => {
      const type = "complete_operation";
      const schema = CompleteOperationRequestSchema;
      const done = await step(context, schema, request, (check, operationId) => {
        const result = operationResultFromProto(check, request.result);
        return { type, operationId, result, resultBytes: 0 };
      });
      return create(CompleteOperationResponseSchema, done);
    },

    failOperation: async (request, context) => {
      const type = "fail_operation";
      const schema = FailOperationRequestSchema;
      const done = await step(context, schema, request, (check, operationId) => {
        return { type, operationId, error: operationErrorFromProto(check, request.error) };
      });
      return create(FailOperationResponseSchema, done);
    },

    cancelOperation: async (request, context) => {
      const type = "cancel_operation";
      const schema = CancelOperationRequestSchema;
      const done = await step(context, schema, request, (check, operationId) => {
        return { type, operationId, ...checkReason(check, request.reason) };
      });
      return create(CancelOperationResponseSchema, done);
    },

    requestRetireOperation: async (request, context) => {
      const type = "request_retire_operation";
      const schema = RequestRetireOperationRequestSchema;
      const done = await step(context, schema, request, (check, operationId) => {
        return { type, operationId, ...checkReason(check, request.reason) };
      });
      return create(RequestRetireOperationResponseSchema, done);
    },

    markRetired: async (request, context) => {
      const type = "mark_operation_retired";
      const done = await step(context, MarkRetiredRequestSchema, request, (_, operationId) => {
        return { type, operationId };
      });
      return create(MarkRetiredResponseSchema, done);
    },

    terminateOwner: async (request, context) => {
      const schema = TerminateOwnerRequestSchema;
      const { done } = await submit(context, schema, request, (check) => {
        const { reason = "" } = checkReason(check, request.reason);
        if (request.reason === "") violate(check, "reason", "is required");
        const epoch = checkEpoch(check, request.expectedEpochId);
        return { type: "terminate_owner", reason, ...epoch };
      });
      const { reply, revision } = done;
      if (reply.type !== "owner_terminated") throw new TypeError(`Answered with ${reply.type}`);
      return create(TerminateOwnerResponseSchema, {
        terminatedCount: reply.operationCount,
        revision: BigInt(revision),
      });
    },

    collectCompleted: async (request, context) => {
      const schema = CollectCompletedRequestSchema;
      const { stream, done } = await submit(context, schema, request, (check) => {
        const { limit } = request;
        if (limit > PAGE_SIZE_MAX) violate(check, "limit", `must be at most ${PAGE_SIZE_MAX}`);
        const through = checkCount(check, request.throughSequence, "through_sequence");
        return {
          type: "collect_completed",
          ...(through === 0 ? {} : { throughSequence: through }),
          operationsMax: limit === 0 ? PAGE_SIZE_MAX : limit,
          bytesMax: RESULTS_BYTES_MAX,
          ...checkEpoch(check, request.expectedEpochId),
        };
      });
      const { reply, state, revision } = done;
      if (reply.type !== "collected") throw new TypeError(`Answered with ${reply.type}`);
      const fold = await streams.known(stream);
      const operations = await Promise.all(
        reply.operationIds.map((operationId) => findOperation(streams, stream, fold, operationId)),
      );
      const results = await readResults(streams, stream, operations);
      return create(CollectCompletedResponseSchema, {
        operations: showOperations(waits, stream, { state }, operations, results),
        registry: registryToProto(state),
        revision: BigInt(revision),
      });
    },
  };
}
