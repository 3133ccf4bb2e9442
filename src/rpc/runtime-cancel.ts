/** CancelInputs: takes back what waits, and tells what became of every input that was named. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { suffixOutcome } from "../core/runtime/cancel-inputs.ts";
import type {
  CancelledSuffix,
  CancelOutcome,
  CancelSelection,
  RuntimeReply,
} from "../core/runtime/commands.ts";
import type { InputTarget } from "../core/runtime/input-target.ts";
import { countInRanges } from "../core/runtime/ordinal-ranges.ts";
import { headerFromRecord, INPUTS_CLASS } from "../core/runtime/record-codec.ts";
import type { InputHeader, RuntimeState } from "../core/runtime/state.ts";
import type { StreamName } from "../core/shared/ids.ts";
import {
  type CancelInputResult,
  type CancelInputsRequest,
  CancelInputsRequestSchema,
  CancelInputsResponseSchema,
  type RuntimeControlPlaneService,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { actionEnvelopeOf, actionTermsOf, carryOut } from "./action-terms.ts";
import { callerOf } from "./caller.ts";
import { cancelResultToProto } from "./codec/cancel-result.ts";
import { type FieldCheck, makeFieldCheck, violate } from "./codec/field-check.ts";
import { runtimeToProto } from "./codec/runtime.ts";
import { readPage } from "./ordinal-pages.ts";
import { checkRuntime, checkTarget } from "./runtime-calls.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";

type CancelService = Pick<ServiceImpl<typeof RuntimeControlPlaneService>, "cancelInputs">;
type CancelReply = Extract<RuntimeReply, { readonly type: "inputs_cancelled" }>;

/** Most inputs that one request may name, and most results that one answer holds. */
const TARGETS_MAX = 10_000;
/** Bytes of a named input in a command and in its event, beside the name. */
const TARGET_BYTES = 100;

/** The inputs of a request; what is wrong is noted in `check`. */
function selectionOf(check: FieldCheck, request: CancelInputsRequest): CancelSelection {
  const { selection } = request;
  if (selection.case === "suffixFrom") {
    check.prefix = "suffix_from.";
    const anchor = checkTarget(check, selection.value.target);
    check.prefix = "";
    return { type: "suffix", anchor };
  }
  if (selection.case === undefined) {
    violate(check, "selection", "is required: targets or suffix_from");
    return { type: "targets", targets: [] };
  }
  const named = selection.value.targets;
  if (named.length === 0) violate(check, "targets.targets", "is required: at least one input");
  if (named.length > TARGETS_MAX) {
    const description = `has ${named.length}, at most ${TARGETS_MAX} are allowed`;
    violate(check, "targets.targets", description);
    return { type: "targets", targets: [] };
  }
  const targets = named.map(({ target }, index) => {
    check.prefix = `targets.targets[${index}].`;
    return checkTarget(check, target);
  });
  check.prefix = "";
  return { type: "targets", targets };
}

function bytesOf(selection: CancelSelection): number {
  const targets = selection.type === "targets" ? selection.targets : [selection.anchor];
  const nameBytes = (target: InputTarget): number =>
    "inputId" in target ? target.inputId.length : target.idempotencyKey.length;
  return targets.reduce((bytes, target) => bytes + TARGET_BYTES + 2 * nameBytes(target), 0);
}

function replyIn(reply: RuntimeReply): CancelReply {
  if (reply.type === "inputs_cancelled") return reply;
  throw new TypeError(`A cancellation was answered with ${reply.type}`);
}

/** How many outcomes there are of each kind. */
interface CancelCounts {
  readonly cancelledCount: number;
  readonly alreadyClaimedCount: number;
  readonly alreadyOverCount: number;
  readonly notFoundCount: number;
}

function countsOf(reply: CancelReply): CancelCounts {
  const { ordinals, answer } = reply;
  const cancelledCount = countInRanges(ordinals);
  switch (answer.type) {
    case "targets": {
      const counted = (type: CancelOutcome["type"]): number =>
        answer.outcomes.filter((outcome) => outcome.type === type).length;
      return {
        cancelledCount,
        alreadyClaimedCount: counted("already_claimed"),
        alreadyOverCount: counted("already_cancelled") + counted("already_completed"),
        notFoundCount: counted("not_found"),
      };
    }
    case "suffix": {
      const { first, last, claimed = [] } = answer.suffix;
      const alreadyClaimedCount = countInRanges(claimed);
      const alreadyOverCount = last - first + 1 - cancelledCount - alreadyClaimedCount;
      return { cancelledCount, alreadyClaimedCount, alreadyOverCount, notFoundCount: 0 };
    }
    case "anchor_not_found":
      return { cancelledCount, alreadyClaimedCount: 0, alreadyOverCount: 0, notFoundCount: 1 };
  }
}

/** Makes the cancelling part of the service. */
export function makeRuntimeCancel(options: RuntimeServiceOptions): CancelService {
  const { streams, nowMs } = options;

  /** The inputs of a suffix, live, over or forgotten, as many as an answer holds. */
  async function readSuffix(
    stream: StreamName,
    { admitted, inputs }: RuntimeState,
    { first, last }: CancelledSuffix,
  ): Promise<readonly InputHeader[]> {
    const source = {
      streams,
      stream,
      recordClass: INPUTS_CLASS,
      fromRecord: headerFromRecord,
      includesForgotten: true,
      held: function* held(afterOrdinal: number) {
        for (const [ordinal, inputId] of admitted.entries(afterOrdinal + 1)) {
          const item = inputs.get(inputId);
          if (item && ordinal <= last) yield { ordinal, item };
          else return;
        }
      },
    };
    const { items } = await readPage(source, first - 1, {
      pageSize: Math.min(TARGETS_MAX, last - first + 1),
      bytesMax: Number.POSITIVE_INFINITY,
      bytesOf: () => 0,
      matches: ({ ordinal }) => ordinal <= last,
    });
    return items;
  }

  async function resultsOf(
    stream: StreamName,
    selection: CancelSelection,
    { ordinals, answer }: CancelReply,
    after: RuntimeState,
  ): Promise<CancelInputResult[]> {
    switch (answer.type) {
      case "targets": {
        const targets = selection.type === "targets" ? selection.targets : [];
        return answer.outcomes.map((outcome, index) => {
          return cancelResultToProto(outcome, targets[index]);
        });
      }
      case "suffix": {
        const { suffix } = answer;
        const headers = await readSuffix(stream, after, suffix);
        return headers.map((header) => {
          return cancelResultToProto(suffixOutcome(header, ordinals, suffix));
        });
      }
      case "anchor_not_found": {
        const anchor = selection.type === "suffix" ? selection.anchor : undefined;
        return [cancelResultToProto(answer, anchor)];
      }
    }
  }

  return {
    cancelInputs: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { stream } = checkRuntime(check, caller.namespace, request.runtimeId);
      const selection = selectionOf(check, request);
      const terms = actionTermsOf(check, request);
      const command = { type: "cancel_inputs" as const, selection, ...terms };
      const schema = CancelInputsRequestSchema;
      const bytes = bytesOf(selection);
      const envelope = actionEnvelopeOf(check, caller, schema, request, command, bytes);
      const done = await carryOut(streams, stream, envelope, request.validateOnly);
      const reply = replyIn(done.reply);
      const results = await resultsOf(stream, selection, reply, done.after);
      return create(CancelInputsResponseSchema, {
        results,
        ...countsOf(reply),
        runtime: runtimeToProto(caller.namespace, done.shown, done.revision, nowMs()),
        revision: BigInt(done.revision),
      });
    },
  };
}
