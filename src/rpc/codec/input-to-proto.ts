/** Stored inputs as they are shown on the wire: what came in, with the defaults filled in. */
import { create } from "@bufbuild/protobuf";
import type {
  Input as CoreInput,
  InputBody,
  InputSource as CoreInputSource,
  OperationNews,
  PeerConvention as CorePeerConvention,
} from "../../core/runtime/input.ts";
import {
  ContinuationInputSchema,
  ExternalEventInputSchema,
  FlowStepInputSchema,
  type Input,
  InputSchema,
  type InputSource,
  InputSourceSchema,
  InputVisibilitySchema,
  OperationInputSchema,
  type OpEvent,
  OpEventSchema,
  type PeerConvention,
  PeerConventionSchema,
  PeerInputSchema,
  PromptInputSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { blockToProto, renderToProto, turnMetadataToProto } from "./content.ts";
import {
  durabilities,
  handlingModes,
  operationKinds,
  responsePhases,
  responseStatuses,
} from "./enums.ts";
import { jsonToProto } from "./json-value.ts";
import { timestampToProto } from "./time.ts";

function sourceToProto(source: CoreInputSource): InputSource {
  switch (source.type) {
    case "operator":
      return create(InputSourceSchema, { origin: { case: "operator", value: {} } });
    case "system":
      return create(InputSourceSchema, { origin: { case: "system", value: {} } });
    case "peer": {
      const value = { peerId: source.peerId, runtimeId: source.runtimeId ?? "" };
      return create(InputSourceSchema, { origin: { case: "peer", value } });
    }
    case "flow": {
      const value = { flowId: source.flowId, stepIndex: source.stepIndex };
      return create(InputSourceSchema, { origin: { case: "flow", value } });
    }
    case "external": {
      const value = { sourceName: source.sourceName };
      return create(InputSourceSchema, { origin: { case: "external", value } });
    }
  }
}

function conventionToProto(meant: CorePeerConvention): PeerConvention {
  switch (meant.type) {
    case "message":
      return create(PeerConventionSchema, { convention: { case: "message", value: {} } });
    case "request": {
      const value = { peerRequestId: meant.peerRequestId, intent: meant.intent };
      return create(PeerConventionSchema, { convention: { case: "request", value } });
    }
    case "response_progress": {
      const phase = responsePhases.toProto(meant.phase);
      const value = { peerRequestId: meant.peerRequestId, phase };
      return create(PeerConventionSchema, { convention: { case: "responseProgress", value } });
    }
    case "response_terminal": {
      const status = responseStatuses.toProto(meant.status);
      const value = { peerRequestId: meant.peerRequestId, status };
      return create(PeerConventionSchema, { convention: { case: "responseTerminal", value } });
    }
  }
}

function newsToProto(news: OperationNews): OpEvent {
  const { id } = news;
  switch (news.type) {
    case "started": {
      const value = { kind: operationKinds.toProto(news.operationKind) };
      return create(OpEventSchema, { id, event: { case: "started", value } });
    }
    case "progress": {
      const { message, percent } = news;
      const value = { message, ...(percent === undefined ? {} : { percent }) };
      return create(OpEventSchema, { id, event: { case: "progress", value } });
    }
    case "completed": {
      const value = { result: jsonToProto(news.result) };
      return create(OpEventSchema, { id, event: { case: "completed", value } });
    }
    case "failed":
      return create(OpEventSchema, { id, event: { case: "failed", value: { error: news.error } } });
    case "cancelled":
      return create(OpEventSchema, { id, event: { case: "cancelled", value: {} } });
  }
}

type Kind = Input["kind"];

function peerToProto(body: Extract<InputBody, { readonly type: "peer" }>): Kind {
  const { convention, handlingMode } = body;
  const value = create(PeerInputSchema, {
    ...(convention === undefined ? {} : { convention: conventionToProto(convention) }),
    body: body.body,
    blocks: body.blocks?.map(blockToProto) ?? [],
    ...(handlingMode === undefined ? {} : { handlingMode: handlingModes.toProto(handlingMode) }),
  });
  return { case: "peer", value };
}

function externalEventToProto(body: Extract<InputBody, { readonly type: "external_event" }>): Kind {
  const { eventType, renderMetadata } = body;
  const value = create(ExternalEventInputSchema, {
    eventType,
    payload: jsonToProto(body.payload),
    blocks: body.blocks?.map(blockToProto) ?? [],
    handlingMode: handlingModes.toProto(body.handlingMode),
    ...(renderMetadata === undefined ? {} : { renderMetadata: renderToProto(renderMetadata) }),
  });
  return { case: "externalEvent", value };
}

function kindToProto(body: InputBody): Kind {
  switch (body.type) {
    case "prompt": {
      const { text, turnMetadata } = body;
      const blocks = body.blocks?.map(blockToProto) ?? [];
      const turn = turnMetadata ? { turnMetadata: turnMetadataToProto(turnMetadata) } : {};
      return { case: "prompt", value: create(PromptInputSchema, { text, blocks, ...turn }) };
    }
    case "peer":
      return peerToProto(body);
    case "flow_step": {
      const { stepId, instructions, turnMetadata } = body;
      const blocks = body.blocks?.map(blockToProto) ?? [];
      const turn = turnMetadata ? { turnMetadata: turnMetadataToProto(turnMetadata) } : {};
      const value = create(FlowStepInputSchema, { stepId, instructions, blocks, ...turn });
      return { case: "flowStep", value };
    }
    case "external_event":
      return externalEventToProto(body);
    case "continuation": {
      const handlingMode = handlingModes.toProto(body.handlingMode);
      const requestId = body.continuationRequestId ?? "";
      const { reason } = body;
      const value = create(ContinuationInputSchema, { reason, handlingMode, requestId });
      return { case: "continuation", value };
    }
    case "operation": {
      const { operationId, news } = body;
      const value = create(OperationInputSchema, { operationId, event: newsToProto(news) });
      return { case: "operation", value };
    }
  }
}

/** An input with its payload. */
export function inputToProto(input: CoreInput): Input {
  const { transcriptEligible, operatorEligible } = input;
  return create(InputSchema, {
    inputId: input.inputId,
    createdAt: timestampToProto(input.createdAt),
    source: sourceToProto(input.source),
    durability: durabilities.toProto(input.durability),
    visibility: create(InputVisibilitySchema, { transcriptEligible, operatorEligible }),
    idempotencyKey: input.idempotencyKey ?? "",
    supersessionKey: input.supersessionKey ?? "",
    correlationId: input.correlationId ?? "",
    causationId: input.causationId ?? "",
    labels: { ...input.labels },
    kind: kindToProto(input.body),
  });
}
