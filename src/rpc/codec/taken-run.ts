/** A run in the hands of the caller that took its input in. */
import { create } from "@bufbuild/protobuf";
import type { StartedRun } from "../../core/runtime/commands.ts";
import type { Input } from "../../core/runtime/input.ts";
import { type AppendContent, runPrimitiveOf } from "../../core/runtime/primitive.ts";
import type { SessionSnapshot } from "../../core/runtime/state.ts";
import type { EpochId, RuntimeId, TimeMs } from "../../core/shared/ids.ts";
import type { ContentBlock } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { type TakenRun, TakenRunSchema } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { sessionSnapshotToProto } from "./blob.ts";
import { blockToProto, turnMetadataToProto } from "./content.ts";
import { runBoundaries } from "./enums.ts";
import { timestampToProto } from "./time.ts";

/** A run with the one input that it has. */
export interface RunOfOne {
  readonly runtimeId: RuntimeId;
  readonly epochId: EpochId;
  readonly run: StartedRun;
  readonly startedAt: TimeMs;
  readonly input: Input;
  readonly sessionSnapshot: SessionSnapshot | null;
}

function blocksOf(content: AppendContent): readonly ContentBlock[] {
  const blocks = content.type === "blocks" ? content.blocks : [content];
  return blocks.map(blockToProto);
}

/** The run with everything that its executor needs. */
export function takenRunToProto(taken: RunOfOne): TakenRun {
  const { run, input, sessionSnapshot } = taken;
  const { boundary, appends, turnMetadata } = runPrimitiveOf([input]);
  return create(TakenRunSchema, {
    runtimeId: taken.runtimeId,
    runId: run.runId,
    generation: BigInt(run.generation),
    attempt: 1,
    boundary: runBoundaries.toProto(boundary),
    stagedInputIds: [...run.inputIds],
    content: appends.flatMap(({ content }) => blocksOf(content)),
    turnMetadata: turnMetadataToProto(turnMetadata),
    traceParent: input.traceParent ?? "",
    epochId: taken.epochId,
    startedAt: timestampToProto(taken.startedAt),
    ...(sessionSnapshot === null
      ? {}
      : { sessionSnapshot: sessionSnapshotToProto(sessionSnapshot) }),
  });
}
