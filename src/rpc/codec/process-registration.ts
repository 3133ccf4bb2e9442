/** Registrations of processes from the wire, and the input on the wire again. */
import { create } from "@bufbuild/protobuf";
import { type DescribedProcess, registrationViolations } from "../../core/process/core-types.ts";
import type { ProcessInput as CoreInput } from "../../core/process/registration.ts";
import { runtimeIdOf, sessionIdOf } from "../../core/shared/ids.ts";
import {
  type ProcessInput,
  ProcessInputSchema,
  type ProcessRegistration,
  type SessionTurnInput,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { checkEnum } from "./enum-codec.ts";
import { checkId, checkLabels, checkOptionalId, type FieldCheck, violate } from "./field-check.ts";
import { jsonFromProto, jsonToProto } from "./json-value.ts";
import { dispositions } from "./process-enums.ts";
import { eventTypeFromProto } from "./process-event-type.ts";
import { identityFromProto, provenanceFromProto } from "./process-provenance.ts";

const ATTEMPTS_MAX = 1_000;
const EVENT_TYPES_LOOKED_AT_MAX = 100;
const NO_INPUT: CoreInput = { type: "external", metadata: null };

function sessionTurnFromProto(
  check: FieldCheck,
  value: SessionTurnInput,
  field: string,
): CoreInput {
  const sessionId = checkOptionalId(check, value.sessionId, `${field}.session_id`);
  const purpose = checkOptionalId(check, value.purpose, `${field}.purpose`);
  return {
    type: "session_turn",
    ...(sessionId === undefined ? {} : { sessionId: sessionIdOf(sessionId) }),
    ...(purpose === undefined ? {} : { purpose }),
    createRequest: jsonFromProto(check, value.createRequest, `${field}.create_request`),
    turnInput: jsonFromProto(check, value.turnInput, `${field}.turn_input`),
    outputContract: jsonFromProto(check, value.outputContract, `${field}.output_contract`),
  };
}

function inputFromProto(
  check: FieldCheck,
  message: ProcessInput | undefined,
  field: string,
): CoreInput {
  const kind = message?.kind;
  switch (kind?.case) {
    case "toolCall": {
      const callId = checkOptionalId(check, kind.value.callId, `${field}.tool_call.call_id`);
      return {
        type: "tool_call",
        toolName: checkId(check, kind.value.toolName, `${field}.tool_call.tool_name`),
        ...(callId === undefined ? {} : { callId }),
        arguments: jsonFromProto(check, kind.value.arguments, `${field}.tool_call.arguments`),
      };
    }
    case "engine":
      return {
        type: "engine",
        kind: checkId(check, kind.value.kind, `${field}.engine.kind`),
        payload: jsonFromProto(check, kind.value.payload, `${field}.engine.payload`),
      };
    case "sessionTurn":
      return sessionTurnFromProto(check, kind.value, `${field}.session_turn`);
    case "external": {
      const { metadata } = kind.value;
      return {
        type: "external",
        metadata: jsonFromProto(check, metadata, `${field}.external.metadata`),
      };
    }
    case undefined:
      violate(check, field, "is required: tool_call, engine, session_turn or external");
      return NO_INPUT;
  }
}

/** What a process works on, on the wire. */
export function processInputToProto(input: CoreInput): ProcessInput {
  switch (input.type) {
    case "tool_call": {
      const { toolName, callId = "" } = input;
      const value = { toolName, callId, arguments: jsonToProto(input.arguments) };
      return create(ProcessInputSchema, { kind: { case: "toolCall", value } });
    }
    case "engine": {
      const value = { kind: input.kind, payload: jsonToProto(input.payload) };
      return create(ProcessInputSchema, { kind: { case: "engine", value } });
    }
    case "session_turn": {
      const { sessionId = "", purpose = "", createRequest, turnInput, outputContract } = input;
      const value = {
        sessionId,
        purpose,
        createRequest: jsonToProto(createRequest),
        turnInput: jsonToProto(turnInput),
        outputContract: jsonToProto(outputContract),
      };
      return create(ProcessInputSchema, { kind: { case: "sessionTurn", value } });
    }
    case "external": {
      const value = { metadata: jsonToProto(input.metadata) };
      return create(ProcessInputSchema, { kind: { case: "external", value } });
    }
  }
}

/** A registration as the client describes it, with everything checked that needs no state. */
export function registrationFromProto(
  check: FieldCheck,
  message: ProcessRegistration,
): DescribedProcess {
  const field = "registration";
  const input = inputFromProto(check, message.input, `${field}.input`);
  const eventTypes = message.eventTypes
    .slice(0, EVENT_TYPES_LOOKED_AT_MAX)
    .map((type, index) => eventTypeFromProto(check, type, `${field}.event_types[${index}]`));
  const provenance = provenanceFromProto(check, message.provenance, `${field}.provenance`);
  const wire = message.disposition;
  const disposition = checkEnum(check, dispositions, wire, `${field}.disposition`);
  const identity = identityFromProto(check, message.identity, `${field}.identity`);
  const environmentRef = checkOptionalId(check, message.envRef, `${field}.env_ref`);
  const wakeRuntimeId = checkOptionalId(check, message.wakeRuntimeId, `${field}.wake_runtime_id`);
  const { attemptsMax } = message;
  if (attemptsMax !== undefined && (attemptsMax === 0 || attemptsMax > ATTEMPTS_MAX)) {
    violate(check, `${field}.attempts_max`, `must be 1 to ${ATTEMPTS_MAX}`);
  }
  const described: DescribedProcess = {
    input,
    eventTypes,
    provenance,
    disposition: disposition ?? "externally_owned",
    ...(identity === undefined ? {} : { identity }),
    labels: checkLabels(check, message.labels, `${field}.labels`) ?? {},
    ...(environmentRef === undefined ? {} : { environmentRef }),
    ...(wakeRuntimeId === undefined ? {} : { wakeRuntimeId: runtimeIdOf(wakeRuntimeId) }),
    ...(attemptsMax === undefined ? {} : { attemptsMax }),
  };
  const known = new Set(check.violations?.map(({ field: violated }) => violated));
  for (const violation of registrationViolations(described)) {
    if (!known.has(violation.field)) violate(check, violation.field, violation.description);
  }
  return described;
}
