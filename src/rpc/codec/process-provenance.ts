/** Who wanted a process and what caused what, on the wire and within. */
import { create } from "@bufbuild/protobuf";
import type {
  ProcessCause as CoreCause,
  ProcessIdentity as CoreIdentity,
  ProcessScope as CoreScope,
  Provenance,
} from "../../core/process/registration.ts";
import type { LeaseOwner } from "../../core/process/terms.ts";
import {
  incarnationIdOf,
  inputIdOf,
  ownerIdOf,
  processIdOf,
  runIdOf,
  runtimeIdOf,
  sessionIdOf,
} from "../../core/shared/ids.ts";
import {
  type ProcessCause,
  ProcessCauseSchema,
  type ProcessIdentity,
  ProcessIdentitySchema,
  type ProcessOwner,
  type ProcessProvenance,
  ProcessProvenanceSchema,
  type ProcessScope,
  ProcessScopeSchema,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { checkCount, checkId, checkOptionalId, type FieldCheck, violate } from "./field-check.ts";

const HOST: Provenance = { originator: { type: "host" } };

/** A scope that must be there. */
export function scopeFromProto(
  check: FieldCheck,
  scope: ProcessScope | undefined,
  field: string,
): CoreScope {
  if (scope === undefined) violate(check, field, "is required");
  const sessionId = sessionIdOf(checkId(check, scope?.sessionId ?? "", `${field}.session_id`));
  const frame = checkOptionalId(check, scope?.agentFrameId ?? "", `${field}.agent_frame_id`);
  return { sessionId, ...(frame === undefined ? {} : { agentFrameId: frame }) };
}

/** A scope on the wire. */
export function scopeToProto(scope: CoreScope): ProcessScope {
  const { sessionId, agentFrameId = "" } = scope;
  return create(ProcessScopeSchema, { sessionId, agentFrameId });
}

/** A worker in one of its lives. */
export function ownerFromProto(
  check: FieldCheck,
  owner: ProcessOwner | undefined,
  field: string,
): LeaseOwner {
  const ownerId = checkId(check, owner?.ownerId ?? "", `${field}.owner_id`);
  const incarnationId = checkId(check, owner?.incarnationId ?? "", `${field}.incarnation_id`);
  return { ownerId: ownerIdOf(ownerId), incarnationId: incarnationIdOf(incarnationId) };
}

/** What caused something; undefined when nobody said. */
export function causeFromProto(
  check: FieldCheck,
  message: ProcessCause | undefined,
  field: string,
): CoreCause | undefined {
  if (message === undefined) return undefined;
  const { cause } = message;
  switch (cause.case) {
    case "run": {
      const runtimeId = checkId(check, cause.value.runtimeId, `${field}.run.runtime_id`);
      const runId = checkId(check, cause.value.runId, `${field}.run.run_id`);
      const callId = checkOptionalId(check, cause.value.callId, `${field}.run.call_id`);
      return {
        type: "run",
        runtimeId: runtimeIdOf(runtimeId),
        runId: runIdOf(runId),
        ...(callId === undefined ? {} : { callId }),
      };
    }
    case "input": {
      const runtimeId = checkId(check, cause.value.runtimeId, `${field}.input.runtime_id`);
      const inputId = checkId(check, cause.value.inputId, `${field}.input.input_id`);
      return { type: "input", runtimeId: runtimeIdOf(runtimeId), inputId: inputIdOf(inputId) };
    }
    case "processEvent": {
      const processId = checkId(check, cause.value.processId, `${field}.process_event.process_id`);
      const sequenceField = `${field}.process_event.sequence`;
      const sequence = checkCount(check, cause.value.sequence, sequenceField);
      if (sequence === 0) violate(check, sequenceField, "must be at least 1");
      return { type: "process_event", processId: processIdOf(processId), sequence };
    }
    case "external":
      return { type: "external", name: checkId(check, cause.value, `${field}.external`) };
    case undefined:
      violate(check, field, "is required: run, input, process_event or external");
      return undefined;
  }
}

/** What caused something, on the wire. */
export function causeToProto(cause: CoreCause): ProcessCause {
  switch (cause.type) {
    case "run": {
      const { runtimeId, runId, callId = "" } = cause;
      const value = { runtimeId, runId, callId };
      return create(ProcessCauseSchema, { cause: { case: "run", value } });
    }
    case "input": {
      const { runtimeId, inputId } = cause;
      return create(ProcessCauseSchema, {
        cause: { case: "input", value: { runtimeId, inputId } },
      });
    }
    case "process_event": {
      const value = { processId: cause.processId, sequence: BigInt(cause.sequence) };
      return create(ProcessCauseSchema, { cause: { case: "processEvent", value } });
    }
    case "external":
      return create(ProcessCauseSchema, { cause: { case: "external", value: cause.name } });
  }
}

/** Who wanted a process. */
export function provenanceFromProto(
  check: FieldCheck,
  message: ProcessProvenance | undefined,
  field: string,
): Provenance {
  const originator = message?.originator;
  if (message === undefined || originator?.case === undefined) {
    violate(check, `${field}.originator`, "is required: host or session");
    return HOST;
  }
  const causedBy = causeFromProto(check, message.causedBy, `${field}.caused_by`);
  const profile = checkOptionalId(check, message.hostProfileId, `${field}.host_profile_id`);
  const rest = {
    ...(causedBy === undefined ? {} : { causedBy }),
    ...(profile === undefined ? {} : { hostProfileId: profile }),
  };
  if (originator.case === "session") {
    const scope = scopeFromProto(check, originator.value, `${field}.session`);
    return { originator: { type: "session", scope }, ...rest };
  }
  const scope = checkOptionalId(check, originator.value.scope, `${field}.host.scope`);
  return { originator: { type: "host", ...(scope === undefined ? {} : { scope }) }, ...rest };
}

/** Who wanted a process, on the wire. */
export function provenanceToProto(provenance: Provenance): ProcessProvenance {
  const { originator, causedBy, hostProfileId = "" } = provenance;
  return create(ProcessProvenanceSchema, {
    originator:
      originator.type === "host"
        ? { case: "host", value: { scope: originator.scope ?? "" } }
        : { case: "session", value: scopeToProto(originator.scope) },
    ...(causedBy === undefined ? {} : { causedBy: causeToProto(causedBy) }),
    hostProfileId,
  });
}

/** What a process is called; undefined when it was not said. */
export function identityFromProto(
  check: FieldCheck,
  message: ProcessIdentity | undefined,
  field: string,
): CoreIdentity | undefined {
  if (message === undefined) return undefined;
  const kind = checkId(check, message.kind, `${field}.kind`);
  const label = checkOptionalId(check, message.label, `${field}.label`);
  const definition = checkOptionalId(check, message.definition, `${field}.definition`);
  return {
    kind,
    ...(label === undefined ? {} : { label }),
    ...(definition === undefined ? {} : { definition }),
  };
}

/** What a process is called, on the wire. */
export function identityToProto(identity: CoreIdentity): ProcessIdentity {
  const { kind, label = "", definition = "" } = identity;
  return create(ProcessIdentitySchema, { kind, label, definition });
}
