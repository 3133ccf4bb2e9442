/** Content blocks, wishes for a turn and how an input is shown: between the wire and the core. */
import { hash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type {
  BinaryContent,
  ContentBlock as CoreContentBlock,
  RenderMetadata as CoreRenderMetadata,
  TurnMetadata,
} from "../../core/runtime/input.ts";
import {
  type ContentBlock,
  ContentBlockSchema,
  type FlowToolOverlay,
  type RenderMetadata,
  RenderMetadataSchema,
  type RuntimeTurnMetadata,
  RuntimeTurnMetadataSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import type { BlobReference } from "../../../gen/keelson/blob/v1/messages_pb.ts";
import { checkDigest } from "./blob.ts";
import { checkOptionalEnum } from "./enum-codec.ts";
import { executionKinds, handlingModes, renderClasses, renderSaliences } from "./enums.ts";
import { checkId, checkOptionalId, checkText, type FieldCheck, violate } from "./field-check.ts";
import { jsonFromProto, jsonToProto } from "./json-value.ts";
import { durationFromProto, durationToProto } from "./time.ts";

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

function bytesOfBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(text, "base64"));
}

/** What an input refers to by digest, with the content where it is still to be stored. */
export interface BinaryContents {
  /** Larger content goes into a blob. */
  readonly inlineBytesMax: number;
  readonly uses: Map<string, Uint8Array | null>;
}

/** Binary content of a block: inline, or moved into a blob where it is large. */
function binaryFromProto(
  check: FieldCheck,
  content: { readonly data: Uint8Array; readonly blob?: BlobReference | undefined },
  field: string,
  { inlineBytesMax, uses }: BinaryContents,
): BinaryContent {
  const { data, blob } = content;
  if ((blob === undefined) === (data.byteLength === 0)) {
    violate(check, `${field}.data`, "either this or blob is required, not both");
  }
  if (blob !== undefined) {
    const blobDigest = checkDigest(check, blob.digest, `${field}.blob.digest`);
    if (!uses.has(blobDigest)) uses.set(blobDigest, null);
    return { blobDigest };
  }
  if (data.byteLength <= inlineBytesMax) return { base64: base64Of(data) };
  const blobDigest = hash("sha256", data);
  uses.set(blobDigest, data);
  return { blobDigest };
}

function binaryToProto(content: BinaryContent) {
  return "blobDigest" in content
    ? { blob: { digest: content.blobDigest } }
    : { data: bytesOfBase64(content.base64) };
}

function blockFromProto(
  check: FieldCheck,
  block: ContentBlock,
  field: string,
  binaries: BinaryContents,
): CoreContentBlock {
  const content = block.block;
  switch (content.case) {
    case "text":
      return { type: "text", text: checkText(check, content.value.text, `${field}.text.text`) };
    case "image": {
      const mediaType = checkId(check, content.value.mediaType, `${field}.image.media_type`);
      const binary = binaryFromProto(check, content.value, `${field}.image`, binaries);
      return { type: "image", mediaType, ...binary };
    }
    case "video": {
      const { duration } = content.value;
      const mediaType = checkId(check, content.value.mediaType, `${field}.video.media_type`);
      const binary = binaryFromProto(check, content.value, `${field}.video`, binaries);
      const durationMs = duration === undefined ? 0 : durationFromProto(duration);
      if (durationMs === undefined) {
        violate(check, `${field}.video.duration`, "must be a duration of zero or more");
      }
      return { type: "video", mediaType, durationMs: durationMs ?? 0, ...binary };
    }
    case undefined:
      violate(check, `${field}.block`, "is required: one of text, image, video");
      return { type: "text", text: "" };
  }
}

/** Content in pieces; undefined when there is none. */
export function blocksFromProto(
  check: FieldCheck,
  blocks: readonly ContentBlock[],
  field: string,
  binaries: BinaryContents,
): readonly CoreContentBlock[] | undefined {
  if (blocks.length === 0) return undefined;
  return blocks.map((block, index) => {
    return blockFromProto(check, block, `${field}[${index}]`, binaries);
  });
}

/** Content in pieces on the wire. */
export function blockToProto(block: CoreContentBlock): ContentBlock {
  switch (block.type) {
    case "text":
      return create(ContentBlockSchema, { block: { case: "text", value: { text: block.text } } });
    case "image": {
      const value = { mediaType: block.mediaType, ...binaryToProto(block) };
      return create(ContentBlockSchema, { block: { case: "image", value } });
    }
    case "video": {
      const duration = durationToProto(block.durationMs);
      const value = { mediaType: block.mediaType, duration, ...binaryToProto(block) };
      return create(ContentBlockSchema, { block: { case: "video", value } });
    }
  }
}

/** How an input is shown; undefined when nothing is said. */
export function renderFromProto(
  check: FieldCheck,
  render: RenderMetadata | undefined,
  field: string,
): CoreRenderMetadata | undefined {
  if (render === undefined) return undefined;
  const { renderClass, salience } = render;
  const classField = `${field}.render_class`;
  const checkedClass = checkOptionalEnum(check, renderClasses, renderClass, classField);
  const checkedSalience = checkOptionalEnum(check, renderSaliences, salience, `${field}.salience`);
  return {
    ...(checkedClass === undefined ? {} : { class: checkedClass }),
    ...(checkedSalience === undefined ? {} : { salience: checkedSalience }),
  };
}

/** How an input is shown, on the wire. */
export function renderToProto(render: CoreRenderMetadata): RenderMetadata {
  const { class: renderClass, salience } = render;
  return create(RenderMetadataSchema, {
    ...(renderClass === undefined ? {} : { renderClass: renderClasses.toProto(renderClass) }),
    ...(salience === undefined ? {} : { salience: renderSaliences.toProto(salience) }),
  });
}

function textsFromProto(
  check: FieldCheck,
  texts: readonly string[],
  field: string,
): readonly string[] {
  return texts.map((text, index) => checkText(check, text, `${field}[${index}]`));
}

function overlayFromProto(
  check: FieldCheck,
  overlay: FlowToolOverlay,
  field: string,
): NonNullable<TurnMetadata["flowToolOverlay"]> {
  const namesOf = (names: readonly string[], list: string): readonly string[] =>
    names.map((name, index) => checkId(check, name, `${field}.${list}.names[${index}]`));
  const { allowedTools, blockedTools } = overlay;
  return {
    ...(allowedTools ? { allowedTools: namesOf(allowedTools.names, "allowed_tools") } : {}),
    ...(blockedTools ? { blockedTools: namesOf(blockedTools.names, "blocked_tools") } : {}),
  };
}

/** Wishes for a turn; undefined when there are none. */
export function turnMetadataFromProto(
  check: FieldCheck,
  metadata: RuntimeTurnMetadata | undefined,
  field: string,
): TurnMetadata | undefined {
  if (metadata === undefined) return undefined;
  const { keepAlive, flowToolOverlay, providerParams } = metadata;
  const at = (name: string): string => `${field}.${name}`;
  const mode = metadata.handlingMode;
  const handlingMode = checkOptionalEnum(check, handlingModes, mode, at("handling_mode"));
  const kind = metadata.executionKind;
  const executionKind = checkOptionalEnum(check, executionKinds, kind, at("execution_kind"));
  const skills = textsFromProto(check, metadata.skillReferences, at("skill_references"));
  const more = metadata.additionalInstructions;
  const instructions = textsFromProto(check, more, at("additional_instructions"));
  const model = checkOptionalId(check, metadata.model, at("model"));
  const provider = checkOptionalId(check, metadata.provider, at("provider"));
  const render = renderFromProto(check, metadata.renderMetadata, at("render_metadata"));
  return {
    ...(handlingMode === undefined ? {} : { handlingMode }),
    ...(keepAlive === undefined ? {} : { keepAlive }),
    ...(skills.length === 0 ? {} : { skillReferences: skills }),
    ...(flowToolOverlay === undefined
      ? {}
      : { flowToolOverlay: overlayFromProto(check, flowToolOverlay, at("flow_tool_overlay")) }),
    ...(instructions.length === 0 ? {} : { additionalInstructions: instructions }),
    ...(model === undefined ? {} : { model }),
    ...(provider === undefined ? {} : { provider }),
    ...(providerParams === undefined
      ? {}
      : { providerParams: jsonFromProto(check, providerParams, at("provider_params")) }),
    ...(render === undefined ? {} : { renderMetadata: render }),
    ...(executionKind === undefined ? {} : { executionKind }),
  };
}

/** Wishes for a turn on the wire. */
export function turnMetadataToProto(metadata: TurnMetadata): RuntimeTurnMetadata {
  const { handlingMode, keepAlive, flowToolOverlay, providerParams, renderMetadata } = metadata;
  const { executionKind } = metadata;
  const message: MessageInitShape<typeof RuntimeTurnMetadataSchema> = {
    skillReferences: [...(metadata.skillReferences ?? [])],
    additionalInstructions: [...(metadata.additionalInstructions ?? [])],
    model: metadata.model ?? "",
    provider: metadata.provider ?? "",
  };
  if (handlingMode !== undefined) message.handlingMode = handlingModes.toProto(handlingMode);
  if (keepAlive !== undefined) message.keepAlive = keepAlive;
  if (flowToolOverlay !== undefined) {
    const { allowedTools, blockedTools } = flowToolOverlay;
    message.flowToolOverlay = {
      ...(allowedTools === undefined ? {} : { allowedTools: { names: [...allowedTools] } }),
      ...(blockedTools === undefined ? {} : { blockedTools: { names: [...blockedTools] } }),
    };
  }
  if (providerParams !== undefined) message.providerParams = jsonToProto(providerParams);
  if (renderMetadata !== undefined) message.renderMetadata = renderToProto(renderMetadata);
  if (executionKind !== undefined) message.executionKind = executionKinds.toProto(executionKind);
  return create(RuntimeTurnMetadataSchema, message);
}
