/** RegisterProcess, SetExternalRef, RequestAbandon and SetProcessWait. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { ProcessCommand } from "../core/process/commands.ts";
import { completeRegistration } from "../core/process/core-types.ts";
import type { ExternalRef, ProcessState, ProcessWait } from "../core/process/state.ts";
import type { Revision, StreamName } from "../core/shared/ids.ts";
import { type FieldViolation, refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { canonicalText } from "../engine/commit-codec.ts";
import type {
  Process,
  ProcessExternalRef,
  ProcessWait as WireWait,
} from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  type ProcessRegistryService,
  type RegisterProcessRequest,
  RegisterProcessRequestSchema,
  RegisterProcessResponseSchema,
  RequestAbandonRequestSchema,
  RequestAbandonResponseSchema,
  SetExternalRefRequestSchema,
  SetExternalRefResponseSchema,
  SetProcessWaitRequestSchema,
  SetProcessWaitResponseSchema,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { type Caller, callerOf } from "./caller.ts";
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
import { jsonFromProto } from "./codec/json-value.ts";
import { registrationHash } from "./codec/process-hashes.ts";
import { leaseProofFromProto } from "./codec/process-lease.ts";
import { registrationFromProto } from "./codec/process-registration.ts";
import { requestHash } from "./codec/request-hash.ts";
import {
  assertPayloadBytes,
  checkProcess,
  checkTerms,
  type CommandTerms,
  commandEnvelope,
} from "./process-calls.ts";
import type { ProcessServiceOptions } from "./process-options.ts";
import { readProcess } from "./stored-processes.ts";

type ChangeService = Pick<
  ServiceImpl<typeof ProcessRegistryService>,
  "registerProcess" | "setExternalRef" | "requestAbandon" | "setProcessWait"
>;

const METADATA_BYTES_MAX = 64 * 1024;

function externalRefFromProto(
  check: FieldCheck,
  message: ProcessExternalRef | undefined,
): ExternalRef {
  if (message === undefined) violate(check, "external_ref", "is required");
  const backend = checkId(check, message?.backend ?? "", "external_ref.backend");
  const externalId = checkId(check, message?.externalId ?? "", "external_ref.external_id");
  if (message?.metadata === undefined) return { backend, externalId };
  const metadata = jsonFromProto(check, message.metadata, "external_ref.metadata");
  const bytes = Buffer.byteLength(JSON.stringify(metadata));
  if (bytes > METADATA_BYTES_MAX) {
    const description = `has ${bytes} bytes, at most ${METADATA_BYTES_MAX} are allowed`;
    violate(check, "external_ref.metadata", description);
  }
  return { backend, externalId, metadata };
}

function waitFromProto(check: FieldCheck, wait: WireWait): ProcessWait {
  const key = checkOptionalId(check, wait.key, "wait.key");
  const ordinal = checkCount(check, wait.ordinal, "wait.ordinal");
  if (ordinal === 0) violate(check, "wait.ordinal", "is required: at least 1");
  return {
    signalName: checkId(check, wait.signalName, "wait.signal_name"),
    eventType: checkId(check, wait.eventType, "wait.event_type"),
    ...(key === undefined ? {} : { key }),
    ordinal,
  };
}

/** Throws PAYLOAD_SCHEMA_INVALID. */
export function assertSchemas(violations: readonly FieldViolation[]): void {
  if (violations.length === 0) return;
  const message = "A payload schema cannot be used; every problem is listed";
  throw new RefusedError({ ...refusalOf("PAYLOAD_SCHEMA_INVALID", message), violations });
}

/** The name of a process to register; one that the server makes cannot be found again. */
function checkNewId(
  check: FieldCheck,
  request: RegisterProcessRequest,
  freshId: () => string,
): string {
  const processId = request.registration?.processId ?? "";
  if (processId !== "") return processId;
  if (request.requestId !== "") {
    violate(check, "registration.process_id", "is required together with request_id");
  }
  return freshId();
}

/** Makes the part of the service that registers processes and changes their records. */
export function makeProcessChanges(options: ProcessServiceOptions): ChangeService {
  const { streams, limits, entropy, schemas } = options;

  /** Commits a command and answers what became of the process. */
  async function change(
    caller: Caller,
    stream: StreamName,
    command: ProcessCommand,
    terms: CommandTerms,
  ): Promise<{ readonly process: Process; readonly revision: bigint; readonly changed: boolean }> {
    const committed = await streams.submit(stream, commandEnvelope(caller, command, terms));
    const { state, revision, events } = committed;
    const process = await shown(stream, state, revision);
    return { process, revision: BigInt(revision), changed: events.length > 0 };
  }

  async function shown(
    stream: StreamName,
    state: ProcessState,
    revision: Revision,
  ): Promise<Process> {
    return await readProcess(streams, stream, { state, revision });
  }

  return {
    registerProcess: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { registration: message } = request;
      if (message === undefined) violate(check, "registration", "is required");
      const newId = checkNewId(check, request, entropy.freshId);
      const field = "registration.process_id";
      const { processId, stream } = checkProcess(check, caller.namespace, newId, field);
      const described = message && registrationFromProto(check, message);
      const hashOf = (): string => requestHash(RegisterProcessRequestSchema, request);
      const isNamed = message?.processId !== "";
      const terms = checkTerms(check, request.requestId, hashOf, isNamed);
      finish(check);
      if (described === undefined) throw new TypeError("A checked request has a registration");
      assertSchemas(schemas.violationsOf(described.eventTypes));
      const registration = completeRegistration(described);
      const payloadBytes = Buffer.byteLength(canonicalText(registration));
      assertPayloadBytes("registration", payloadBytes, limits.inputPayloadBytesMax);
      const hash = registrationHash(registration);
      const command = {
        type: "register_process",
        processId,
        registration,
        registrationHash: hash,
      } as const;
      const changed = await change(caller, stream, command, { ...terms, payloadBytes });
      const { process, revision, changed: created } = changed;
      return create(RegisterProcessResponseSchema, { process, revision, created });
    },

    setExternalRef: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { processId, stream } = checkProcess(check, caller.namespace, request.processId);
      const externalRef = externalRefFromProto(check, request.externalRef);
      const hashOf = (): string => requestHash(SetExternalRefRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const command = { type: "set_external_ref", processId, externalRef } as const;
      const { process, revision } = await change(caller, stream, command, terms);
      return create(SetExternalRefResponseSchema, { process, revision });
    },

    requestAbandon: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { processId, stream } = checkProcess(check, caller.namespace, request.processId);
      const requestedBy = checkId(check, request.requestedBy, "requested_by");
      const reason = checkBoundedText(check, request.reason, "reason", REASON_BYTES_MAX);
      const hashOf = (): string => requestHash(RequestAbandonRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const command = {
        type: "request_abandon",
        processId,
        requestedBy,
        ...(reason === undefined ? {} : { reason }),
      } as const;
      const { process, revision } = await change(caller, stream, command, terms);
      return create(RequestAbandonResponseSchema, { process, revision });
    },

    setProcessWait: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { processId, stream } = checkProcess(check, caller.namespace, request.processId);
      const wait = request.wait === undefined ? null : waitFromProto(check, request.wait);
      const lease = request.lease && leaseProofFromProto(check, request.lease);
      const hashOf = (): string => requestHash(SetProcessWaitRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const command = { type: "set_wait", processId, wait, ...(lease && { lease }) } as const;
      const { process, revision } = await change(caller, stream, command, terms);
      return create(SetProcessWaitResponseSchema, { process, revision });
    },
  };
}
