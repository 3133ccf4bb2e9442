/**
 * Inputs from the wire: every field is checked once on the way to the stored form. The JSON text is
 * made once and serves the content hash and the size.
 */
import { createHash } from "node:crypto";
import type {
  Input as CoreInput,
  InputBody,
  InputSource as CoreInputSource,
  OperationNews,
  PeerConvention as CorePeerConvention,
} from "../../core/runtime/input.ts";
import { type InputId, inputIdOf, type TimeMs } from "../../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../../core/shared/refusal.ts";
import { canonicalText } from "../../engine/commit-codec.ts";
import type {
  ContinuationInput,
  ExternalEventInput,
  FlowStepInput,
  Input,
  InputSource,
  OperationInput,
  OpEvent,
  PeerConvention,
  PeerInput,
  PromptInput,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  type BinaryContents,
  blocksFromProto,
  renderFromProto,
  turnMetadataFromProto,
} from "./content.ts";
import { checkEnum, checkOptionalEnum } from "./enum-codec.ts";
import {
  durabilities,
  handlingModes,
  operationKinds,
  responsePhases,
  responseStatuses,
} from "./enums.ts";
import {
  checkId,
  checkLabels,
  checkOptionalId,
  checkText,
  type FieldCheck,
  finish,
  violate,
} from "./field-check.ts";
import { jsonFromProto } from "./json-value.ts";
import { timestampFromProto } from "./time.ts";

const OPERATOR: CoreInputSource = { type: "operator" };
const SYSTEM: CoreInputSource = { type: "system" };

function sourceFromProto(check: FieldCheck, source: InputSource | undefined): CoreInputSource {
  if (source === undefined) return OPERATOR;
  const { origin } = source;
  switch (origin.case) {
    case "operator":
      return OPERATOR;
    case "system":
      return SYSTEM;
    case "peer": {
      const peerId = checkId(check, origin.value.peerId, "source.peer.peer_id");
      const { runtimeId } = origin.value;
      const peerRuntime = checkOptionalId(check, runtimeId, "source.peer.runtime_id");
      return { peerId, ...(peerRuntime ? { runtimeId: peerRuntime } : {}), type: "peer" };
    }
    case "flow": {
      const flowId = checkId(check, origin.value.flowId, "source.flow.flow_id");
      return { flowId, stepIndex: origin.value.stepIndex, type: "flow" };
    }
    case "external": {
      const { sourceName } = origin.value;
      const checked = checkId(check, sourceName, "source.external.source_name");
      return { sourceName: checked, type: "external" };
    }
    case undefined:
      violate(check, "source.origin", "is required: operator, peer, flow, system or external");
      return OPERATOR;
  }
}

function conventionFromProto(
  check: FieldCheck,
  convention: PeerConvention | undefined,
): CorePeerConvention | undefined {
  if (convention === undefined) return undefined;
  const field = "peer.convention";
  const { convention: meant } = convention;
  switch (meant.case) {
    case "message":
      return { type: "message" };
    case "request": {
      const requestField = `${field}.request.peer_request_id`;
      const peerRequestId = checkId(check, meant.value.peerRequestId, requestField);
      const intent = checkId(check, meant.value.intent, `${field}.request.intent`);
      return { type: "request", peerRequestId, intent };
    }
    case "responseProgress": {
      const { peerRequestId: id, phase: wire } = meant.value;
      const peerRequestId = checkId(check, id, `${field}.response_progress.peer_request_id`);
      const phase = checkEnum(check, responsePhases, wire, `${field}.response_progress.phase`);
      return { type: "response_progress", peerRequestId, phase: phase ?? "accepted" };
    }
    case "responseTerminal": {
      const { peerRequestId: id, status: wire } = meant.value;
      const peerRequestId = checkId(check, id, `${field}.response_terminal.peer_request_id`);
      const status = checkEnum(check, responseStatuses, wire, `${field}.response_terminal.status`);
      return { type: "response_terminal", peerRequestId, status: status ?? "completed" };
    }
    case undefined:
      violate(
        check,
        `${field}.convention`,
        "is required: message, request, response_progress or response_terminal",
      );
      return undefined;
  }
}

function promptFromProto(
  check: FieldCheck,
  prompt: PromptInput,
  binaries: BinaryContents,
): InputBody {
  const text = checkText(check, prompt.text, "prompt.text");
  const blocks = blocksFromProto(check, prompt.blocks, "prompt.blocks", binaries);
  const turn = turnMetadataFromProto(check, prompt.turnMetadata, "prompt.turn_metadata");
  return {
    ...(blocks === undefined ? {} : { blocks }),
    text,
    ...(turn === undefined ? {} : { turnMetadata: turn }),
    type: "prompt",
  };
}

function peerFromProto(check: FieldCheck, peer: PeerInput, binaries: BinaryContents): InputBody {
  const convention = conventionFromProto(check, peer.convention);
  const body = checkText(check, peer.body, "peer.body");
  const blocks = blocksFromProto(check, peer.blocks, "peer.blocks", binaries);
  const mode = peer.handlingMode;
  const handlingMode = checkOptionalEnum(check, handlingModes, mode, "peer.handling_mode");
  return {
    ...(blocks === undefined ? {} : { blocks }),
    body,
    ...(convention === undefined ? {} : { convention }),
    ...(handlingMode === undefined ? {} : { handlingMode }),
    type: "peer",
  };
}

function flowStepFromProto(
  check: FieldCheck,
  step: FlowStepInput,
  binaries: BinaryContents,
): InputBody {
  const stepId = checkId(check, step.stepId, "flow_step.step_id");
  const instructions = checkText(check, step.instructions, "flow_step.instructions");
  const blocks = blocksFromProto(check, step.blocks, "flow_step.blocks", binaries);
  const turn = turnMetadataFromProto(check, step.turnMetadata, "flow_step.turn_metadata");
  return {
    ...(blocks === undefined ? {} : { blocks }),
    instructions,
    stepId,
    ...(turn === undefined ? {} : { turnMetadata: turn }),
    type: "flow_step",
  };
}

function externalEventFromProto(
  check: FieldCheck,
  event: ExternalEventInput,
  binaries: BinaryContents,
): InputBody {
  const eventType = checkId(check, event.eventType, "external_event.event_type");
  const payload = jsonFromProto(check, event.payload, "external_event.payload");
  const blocks = blocksFromProto(check, event.blocks, "external_event.blocks", binaries);
  const modeField = "external_event.handling_mode";
  const mode = checkOptionalEnum(check, handlingModes, event.handlingMode, modeField);
  const renderField = "external_event.render_metadata";
  const render = renderFromProto(check, event.renderMetadata, renderField);
  return {
    ...(blocks === undefined ? {} : { blocks }),
    eventType,
    handlingMode: mode ?? "queue",
    payload,
    ...(render === undefined ? {} : { renderMetadata: render }),
    type: "external_event",
  };
}

function continuationFromProto(check: FieldCheck, continuation: ContinuationInput): InputBody {
  const reason = checkId(check, continuation.reason, "continuation.reason");
  const modeField = "continuation.handling_mode";
  const mode = checkOptionalEnum(check, handlingModes, continuation.handlingMode, modeField);
  const requestField = "continuation.request_id";
  const requestId = checkOptionalId(check, continuation.requestId, requestField);
  return {
    ...(requestId === undefined ? {} : { continuationRequestId: requestId }),
    handlingMode: mode ?? "queue",
    reason,
    type: "continuation",
  };
}

function newsFromProto(check: FieldCheck, event: OpEvent | undefined): OperationNews {
  const field = "operation.event";
  const id = checkOptionalId(check, event?.id ?? "", `${field}.id`) ?? "";
  const news = event?.event;
  switch (news?.case) {
    case "started": {
      const kind = checkEnum(check, operationKinds, news.value.kind, `${field}.started.kind`);
      return { type: "started", id, operationKind: kind ?? "tool_call" };
    }
    case "progress": {
      const { percent } = news.value;
      const message = checkText(check, news.value.message, `${field}.progress.message`);
      if (percent !== undefined && !(percent >= 0 && percent <= 100)) {
        violate(check, `${field}.progress.percent`, "must be from 0 to 100");
      }
      return { type: "progress", id, message, ...(percent === undefined ? {} : { percent }) };
    }
    case "completed": {
      const result = jsonFromProto(check, news.value.result, `${field}.completed.result`);
      return { type: "completed", id, result };
    }
    case "failed":
      return {
        type: "failed",
        id,
        error: checkText(check, news.value.error, `${field}.failed.error`),
      };
    case "cancelled":
      return { type: "cancelled", id };
    case undefined:
      violate(check, field, "is required: started, progress, completed, failed or cancelled");
      return { type: "cancelled", id };
  }
}

function operationFromProto(check: FieldCheck, operation: OperationInput): InputBody {
  const operationId = checkId(check, operation.operationId, "operation.operation_id");
  return { type: "operation", operationId, news: newsFromProto(check, operation.event) };
}

function bodyFromProto(
  check: FieldCheck,
  kind: Input["kind"],
  binaries: BinaryContents,
): InputBody {
  switch (kind.case) {
    case "prompt":
      return promptFromProto(check, kind.value, binaries);
    case "peer":
      return peerFromProto(check, kind.value, binaries);
    case "flowStep":
      return flowStepFromProto(check, kind.value, binaries);
    case "externalEvent":
      return externalEventFromProto(check, kind.value, binaries);
    case "continuation":
      return continuationFromProto(check, kind.value);
    case "operation":
      return operationFromProto(check, kind.value);
    case undefined:
      violate(
        check,
        "kind",
        "is required: prompt, peer, flow_step, external_event, continuation or operation",
      );
      return { type: "prompt", text: "" };
  }
}

/** What an input is completed with at the edge. */
export interface InputDefaults {
  /** Time of arrival. */
  readonly now: TimeMs;
  /** Makes an id for an input that came without one. */
  readonly freshInputId: () => string;
  readonly payloadBytesMax: number;
  /** Binary content that is larger goes into a blob. */
  readonly inlineBytesMax: number;
  /** W3C trace parent of the call. */
  readonly traceParent?: string;
}

/** An input as it is stored, with what follows from its text. */
export interface PreparedInput {
  readonly input: CoreInput;
  /** SHA-256 (hex) of the canonical input without id, creation time, key and trace parent. */
  readonly bodyHash: string;
  /** Bytes of the canonical input. */
  readonly payloadBytes: number;
  readonly inputIdIsFresh: boolean;
  /** Blobs that it refers to, with the content where it is still to be stored. */
  readonly blobs: BinaryContents["uses"];
}

function createdAtOf(check: FieldCheck, input: Input, now: TimeMs): TimeMs {
  if (input.createdAt === undefined) return now;
  const createdAt = timestampFromProto(input.createdAt);
  if (createdAt === undefined) violate(check, "created_at", "must be within the years 1 to 9999");
  return createdAt ?? now;
}

/** Bytes that a member adds to canonical JSON, its comma included. */
function memberBytes(name: string, value: string | number | undefined): number {
  return value === undefined
    ? 0
    : name.length +
        4 +
        Buffer.byteLength(typeof value === "string" ? JSON.stringify(value) : `${value}`);
}

function assertSize(payloadBytes: number, limitBytes: number, prefix: string): void {
  if (payloadBytes <= limitBytes) return;
  throw new RefusedError(
    refusalOf(
      "PAYLOAD_TOO_LARGE",
      `The input has ${payloadBytes} bytes of canonical JSON, at most ${limitBytes} are allowed`,
      { limitBytes, actualBytes: payloadBytes, field: prefix.replace(/\.$/, "") },
    ),
  );
}

/** Members of a stored input that say nothing about its content. */
interface InputMarks {
  readonly createdAt: TimeMs;
  readonly idempotencyKey: string | undefined;
  readonly inputId: InputId;
  readonly traceParent: string | undefined;
}

function storedInput(content: Omit<CoreInput, keyof InputMarks>, marks: InputMarks): CoreInput {
  const { body, causationId, correlationId, durability, labels } = content;
  const { operatorEligible, source, supersessionKey, transcriptEligible } = content;
  const { createdAt, idempotencyKey, inputId, traceParent } = marks;
  return {
    body,
    ...(causationId === undefined ? {} : { causationId }),
    ...(correlationId === undefined ? {} : { correlationId }),
    createdAt,
    durability,
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    inputId,
    ...(labels === undefined ? {} : { labels }),
    operatorEligible,
    source,
    ...(supersessionKey === undefined ? {} : { supersessionKey }),
    ...(traceParent === undefined ? {} : { traceParent }),
    transcriptEligible,
  };
}

/**
 * The stored form of an input. Throws INVALID_FIELD with everything that was found wrong, also what
 * the caller noted in `check` before, and PAYLOAD_TOO_LARGE.
 */
export function inputFromProto(
  check: FieldCheck,
  input: Input,
  defaults: InputDefaults,
): PreparedInput {
  const inputId = checkOptionalId(check, input.inputId, "input_id");
  const createdAt = createdAtOf(check, input, defaults.now);
  const idempotencyKey = checkOptionalId(check, input.idempotencyKey, "idempotency_key");
  const supersessionKey = checkOptionalId(check, input.supersessionKey, "supersession_key");
  const correlationId = checkOptionalId(check, input.correlationId, "correlation_id");
  const causationId = checkOptionalId(check, input.causationId, "causation_id");
  const labels = checkLabels(check, input.labels, "labels");
  const durability = checkOptionalEnum(check, durabilities, input.durability, "durability");
  const binaries: BinaryContents = {
    inlineBytesMax: defaults.inlineBytesMax,
    uses: new Map(),
  };
  // Here and below members stand in the order of their names: so their text is made fastest.
  const content = {
    body: bodyFromProto(check, input.kind, binaries),
    ...(causationId === undefined ? {} : { causationId }),
    ...(correlationId === undefined ? {} : { correlationId }),
    durability: durability ?? ("durable" as const),
    ...(labels === undefined ? {} : { labels }),
    operatorEligible: input.visibility?.operatorEligible ?? true,
    source: sourceFromProto(check, input.source),
    ...(supersessionKey === undefined ? {} : { supersessionKey }),
    transcriptEligible: input.visibility?.transcriptEligible ?? true,
  };
  finish(check);
  const { traceParent } = defaults;
  const id: InputId = inputIdOf(inputId ?? defaults.freshInputId());
  const text = canonicalText(content);
  const payloadBytes =
    Buffer.byteLength(text) +
    memberBytes("inputId", id) +
    memberBytes("createdAt", createdAt) +
    memberBytes("idempotencyKey", idempotencyKey) +
    memberBytes("traceParent", traceParent);
  assertSize(payloadBytes, defaults.payloadBytesMax, check.prefix);
  return {
    input: storedInput(content, { createdAt, idempotencyKey, inputId: id, traceParent }),
    bodyHash: createHash("sha256").update(text).digest("hex"),
    payloadBytes,
    inputIdIsFresh: inputId === undefined,
    blobs: binaries.uses,
  };
}
