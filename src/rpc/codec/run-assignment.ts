/** Runs as they are handed to executors. */
import { create } from "@bufbuild/protobuf";
import {
  type AppendContent,
  type ContextAppend as CoreContextAppend,
  type RunAppend,
  type RunPrimitive as CoreRunPrimitive,
  runPrimitiveOf,
} from "../../core/runtime/primitive.ts";
import type { Assignment } from "../../dispatch/messages.ts";
import {
  AppendRole,
  type ContextAppend,
  ContextAppendSchema,
  type ConversationAppend,
  ConversationAppendSchema,
  type CoreRenderable,
  CoreRenderableSchema,
  type RunAssignment,
  RunAssignmentSchema,
  type RunPrimitive,
  RunPrimitiveSchema,
} from "../../../gen/keelson/executor/v1/messages_pb.ts";
import { sessionSnapshotToProto } from "./blob.ts";
import { blockToProto, turnMetadataToProto } from "./content.ts";
import { runBoundaries } from "./enums.ts";
import { timestampToProto } from "./time.ts";

function contentToProto(content: AppendContent): CoreRenderable {
  if (content.type === "text") {
    return create(CoreRenderableSchema, { content: { case: "text", value: content.text } });
  }
  const value = { blocks: content.blocks.map(blockToProto) };
  return create(CoreRenderableSchema, { content: { case: "blocks", value } });
}

/** One addition to a conversation. */
export function appendToProto(append: RunAppend): ConversationAppend {
  return create(ConversationAppendSchema, {
    role: AppendRole.USER,
    content: contentToProto(append.content),
  });
}

/** One addition to the context of a run. */
export function contextAppendToProto(append: CoreContextAppend): ContextAppend {
  return create(ContextAppendSchema, {
    key: append.key,
    content: contentToProto(append.content),
  });
}

/** What is to be run. */
function runPrimitiveToProto(primitive: CoreRunPrimitive): RunPrimitive {
  return create(RunPrimitiveSchema, {
    boundary: runBoundaries.toProto(primitive.boundary),
    appends: primitive.appends.map(appendToProto),
    contextAppends: primitive.contextAppends.map(contextAppendToProto),
    contributingInputIds: [...primitive.contributingInputIds],
    turnMetadata: turnMetadataToProto(primitive.turnMetadata),
  });
}

/** A run with everything its executor needs. */
export function runAssignmentToProto(assignment: Assignment): RunAssignment {
  const { inputs, sessionSnapshot } = assignment;
  const traced = inputs.find((input) => input.traceParent !== undefined);
  return create(RunAssignmentSchema, {
    runtimeId: assignment.runtimeId,
    runId: assignment.runId,
    generation: BigInt(assignment.generation),
    attempt: assignment.attempt,
    primitive: runPrimitiveToProto(runPrimitiveOf(inputs)),
    traceParent: traced?.traceParent ?? "",
    epochId: assignment.epochId,
    nextReceiptSequence: BigInt(assignment.nextReceiptSequence),
    startedAt: timestampToProto(assignment.startedAt),
    interruptRequested: assignment.interruptRequested,
    ...(sessionSnapshot === null
      ? {}
      : { sessionSnapshot: sessionSnapshotToProto(sessionSnapshot) }),
    stagedInputIds: [...assignment.stagedInputIds],
  });
}
