/**
 * The run primitive: what an executor gets of a batch of inputs. Built purely from the inputs in
 * order; the payloads come from the journal.
 */
import type { InputId } from "../shared/ids.ts";
import { isJsonObject } from "../shared/json.ts";
import type { ContentBlock, Input, InputBody, InputSource, TurnMetadata } from "./input.ts";
import { handlingModeOf, kindOf, laneOfPolicy, policyOf, resolvePolicy } from "./policy.ts";

/** Content of an append: text, or pieces where an input brings any. */
export type AppendContent =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "blocks"; readonly blocks: readonly ContentBlock[] };

/** Content that an input adds to the conversation. */
export interface RunAppend {
  readonly role: "user";
  readonly content: AppendContent;
  /** The input it comes from. */
  readonly inputId: InputId;
}

/** Content that is set under a key of the context instead of being added to the conversation. */
export interface ContextAppend {
  readonly key: string;
  readonly content: AppendContent;
}

/** What an executor is to apply at the start of a run, or at a boundary that inputs join. */
export interface RunPrimitive {
  readonly boundary: "run_start" | "run_checkpoint";
  readonly appends: readonly RunAppend[];
  readonly contextAppends: readonly ContextAppend[];
  readonly contributingInputIds: readonly InputId[];
  readonly turnMetadata: TurnMetadata;
}

/**
 * Where the first input of a batch is applied: steer inputs at a checkpoint, others at the start.
 */
function boundaryOf(body: InputBody): RunPrimitive["boundary"] {
  const policy = policyOf(resolvePolicy(kindOf(body), handlingModeOf(body), "idle"));
  return laneOfPolicy(policy) === "steer" ? "run_checkpoint" : "run_start";
}

function textBlock(text: string): ContentBlock {
  return { type: "text", text };
}

function isSameText(block: ContentBlock | undefined, text: string): boolean {
  return block?.type === "text" && block.text === text;
}

/** Blocks where there are any, else the text. */
function blocksOrText(blocks: readonly ContentBlock[] | undefined, text: string): AppendContent {
  return blocks === undefined || blocks.length === 0
    ? { type: "text", text }
    : { type: "blocks", blocks };
}

function peerContent(
  body: Extract<InputBody, { readonly type: "peer" }>,
  source: InputSource,
): AppendContent {
  const { blocks } = body;
  if (blocks === undefined || blocks.length === 0) return { type: "text", text: body.body };
  if (body.convention?.type === "message" && source.type === "peer") {
    const heading = textBlock(`[COMMS MESSAGE from ${source.peerId}]`);
    return { type: "blocks", blocks: [heading, ...blocks] };
  }
  const isRepeated = body.body === "" || isSameText(blocks[0], body.body);
  return { type: "blocks", blocks: isRepeated ? blocks : [textBlock(body.body), ...blocks] };
}

function externalContent(
  body: Extract<InputBody, { readonly type: "external_event" }>,
  source: InputSource,
): AppendContent {
  const { payload, blocks } = body;
  const name = source.type === "external" ? source.sourceName : body.eventType;
  const text = isJsonObject(payload) ? payload["body"] : undefined;
  const detail = typeof text === "string" ? text.trim() : "";
  return blocksOrText(blocks, `[EVENT via ${name}]${detail === "" ? "" : ` ${detail}`}`);
}

/** What an input adds to the conversation; undefined for one that adds nothing. */
function contentOf(input: Input): AppendContent | undefined {
  const { body, source } = input;
  switch (body.type) {
    case "prompt":
      return blocksOrText(body.blocks, body.text);
    case "flow_step":
      return blocksOrText(body.blocks, body.instructions);
    case "peer":
      return peerContent(body, source);
    case "external_event":
      return externalContent(body, source);
    case "continuation":
    case "operation":
      return undefined;
  }
}

/** The wishes of one input for its turn. */
function metadataOf(body: InputBody): TurnMetadata {
  switch (body.type) {
    case "prompt":
    case "flow_step":
      return body.turnMetadata ?? {};
    case "external_event":
      return body.renderMetadata === undefined ? {} : { renderMetadata: body.renderMetadata };
    default:
      return {};
  }
}

function joined(
  left: readonly string[] | undefined,
  right: readonly string[] | undefined,
): readonly string[] {
  return [...(left ?? []), ...(right ?? [])];
}

/** Wishes over a batch: of single values the last one given wins, lists are joined. */
function mergedMetadata(left: TurnMetadata, right: TurnMetadata): TurnMetadata {
  const skillReferences = joined(left.skillReferences, right.skillReferences);
  const additionalInstructions = joined(left.additionalInstructions, right.additionalInstructions);
  return {
    ...left,
    ...right,
    ...(skillReferences.length === 0 ? {} : { skillReferences }),
    ...(additionalInstructions.length === 0 ? {} : { additionalInstructions }),
  };
}

/** The primitive of a batch. The batch holds at least one input. */
export function runPrimitiveOf(inputs: readonly Input[]): RunPrimitive {
  const [first] = inputs;
  const appends = inputs.flatMap((input): RunAppend[] => {
    const content = contentOf(input);
    return content === undefined ? [] : [{ role: "user", content, inputId: input.inputId }];
  });
  const merged = inputs.map((input) => metadataOf(input.body)).reduce(mergedMetadata, {});
  const isResuming = inputs.every((input) => input.body.type === "continuation");
  return {
    boundary: first === undefined ? "run_start" : boundaryOf(first.body),
    appends,
    contextAppends: [],
    contributingInputIds: inputs.map((input) => input.inputId),
    turnMetadata: { ...merged, executionKind: isResuming ? "resume_pending" : "content_turn" },
  };
}
