/** What executors report about a run: boundaries and its end, fenced by generation. */
import { create } from "@bufbuild/protobuf";
import { hash } from "node:crypto";
import type { ServiceImpl } from "@connectrpc/connect";
import type { BlobReference } from "../../gen/keelson/blob/v1/messages_pb.ts";
import {
  CancelRunResponseSchema,
  CommitBoundaryResponseSchema,
  type CompleteRunRequest,
  CompleteRunResponseSchema,
  type ExecutorService,
  FailRunResponseSchema,
  ReleaseRunResponseSchema,
} from "../../gen/keelson/executor/v1/service_pb.ts";
import type {
  BoundaryReport,
  RuntimeCommand,
  RuntimeReply,
  StartedRun,
} from "../core/runtime/commands.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { RunOutcome } from "../core/runtime/input.ts";
import { runPrimitiveOf } from "../core/runtime/primitive.ts";
import { receiptOf } from "../core/runtime/receipt.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import {
  type InputId,
  inputIdOf,
  type RunId,
  runIdOf,
  type StreamName,
} from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { assignmentOf } from "../dispatch/assignment.ts";
import type { Payloads } from "../dispatch/payloads.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import type { Blobs } from "../engine/blobs.ts";
import { canonicalText } from "../engine/commit-codec.ts";
import type { Committed } from "../engine/stream-entry.ts";
import { streamName } from "../engine/stream-name.ts";
import { type Caller, callerOf } from "./caller.ts";
import { referenceFromProto } from "./codec/blob.ts";
import { callbackFromProto, runResultFromProto } from "./codec/completion.ts";
import { checkEnum } from "./codec/enum-codec.ts";
import { runBoundaries } from "./codec/enums.ts";
import {
  checkBoundedText,
  checkCount,
  checkId,
  type FieldCheck,
  finish,
  makeFieldCheck,
  violate,
} from "./codec/field-check.ts";
import { receiptToProto } from "./codec/receipt.ts";
import {
  appendToProto,
  contextAppendToProto,
  runAssignmentToProto,
} from "./codec/run-assignment.ts";
import { turnMetadataToProto } from "./codec/content.ts";
import type { RpcLimits } from "./runtime-options.ts";

const DIGEST = /^[0-9a-f]{64}$/;
const ERROR_BYTES_MAX = 64 * 1024;
const INPUTS_MAX = 10_000;
/** Bytes of a report without what the executor puts into it, for batching. */
const COMMAND_BYTES = 500;

/** What the reports of executors work with. */
export interface ExecutorWritesOptions {
  readonly streams: RuntimeStreams;
  readonly payloads: Payloads;
  readonly blobs: Pick<Blobs, "referring">;
  readonly batchInputsMax: number;
  readonly batchBytesMax: number;
  readonly limits: Pick<RpcLimits, "runResultBytesMax">;
}

type WriteHandlers = Pick<
  ServiceImpl<typeof ExecutorService>,
  "commitBoundary" | "completeRun" | "failRun" | "cancelRun" | "releaseRun"
>;

type Done = Committed<RuntimeState, RuntimeEvent, RuntimeReply>;

/** The fields that name a run in every report. */
interface RunReference {
  readonly runtimeId: string;
  readonly runId: string;
  readonly generation: bigint;
  readonly requestId: string;
}

/** A run that a report is about. */
interface NamedRun {
  readonly stream: StreamName;
  readonly runId: RunId;
  readonly generation: number;
}

function checkRun(check: FieldCheck, call: Caller, request: RunReference): NamedRun {
  const runtimeId = checkId(check, request.runtimeId, "runtime_id");
  if (request.requestId !== "") checkId(check, request.requestId, "request_id");
  return {
    stream: streamName("runtime", call.namespace, runtimeId),
    runId: runIdOf(checkId(check, request.runId, "run_id")),
    generation: checkCount(check, request.generation, "generation"),
  };
}

/** The boundary of a report; `prefix` is the path of the message that holds it. */
function checkBoundary(
  check: FieldCheck,
  report: {
    readonly boundary: number;
    readonly contributingInputIds: readonly string[];
    readonly conversationDigest: string;
    readonly messageCount: bigint;
    readonly sessionSnapshot?: BlobReference | undefined;
  },
  prefix: string,
): BoundaryReport {
  const { contributingInputIds, conversationDigest } = report;
  if (contributingInputIds.length > INPUTS_MAX) {
    violate(check, `${prefix}contributing_input_ids`, `at most ${INPUTS_MAX} are allowed`);
  }
  if (conversationDigest !== "" && !DIGEST.test(conversationDigest)) {
    violate(check, `${prefix}conversation_digest`, "must be 64 lower-case hex digits, or empty");
  }
  const field = `${prefix}session_snapshot`;
  const sessionSnapshot = referenceFromProto(check, report.sessionSnapshot, field);
  return {
    boundary: checkEnum(check, runBoundaries, report.boundary, `${prefix}boundary`) ?? "run_start",
    inputIds: contributingInputIds.slice(0, INPUTS_MAX).map(inputIdOf),
    messageCount: checkCount(check, report.messageCount, `${prefix}message_count`),
    ...(conversationDigest === "" ? {} : { conversationDigest }),
    ...(sessionSnapshot === undefined ? {} : { sessionSnapshot }),
  };
}

function checkOutcome(check: FieldCheck, request: CompleteRunRequest): RunOutcome {
  const { outcome } = request;
  if (outcome.case === "result") {
    return { type: "result", result: runResultFromProto(check, outcome.value, "result") };
  }
  if (outcome.case === "callbackPending") {
    return callbackFromProto(check, outcome.value, "callback_pending");
  }
  return { type: "none" };
}

/** Bytes of an outcome. Refuses RESULT_TOO_LARGE. */
function checkedResultBytes(outcome: RunOutcome, limitBytes: number): number {
  const bytes = Buffer.byteLength(canonicalText(outcome));
  if (bytes <= limitBytes) return bytes;
  const message = `The outcome has ${bytes} bytes, at most ${limitBytes} are allowed`;
  const metadata = { limitBytes, actualBytes: bytes };
  throw new RefusedError(refusalOf("RESULT_TOO_LARGE", message, metadata));
}

/** How many of a run's inputs a failed or cancelled run sent back, and how many it gave up. */
function countsOf(events: readonly RuntimeEvent[], runId: RunId) {
  for (const event of events) {
    if (event.type === "run_failed" && event.runId === runId) {
      return { requeued: event.rolledBack.length, abandoned: event.abandoned.length };
    }
    if (event.type === "run_cancelled" && event.runId === runId) {
      const count = event.inputIds.length;
      return event.requeue ? { requeued: count, abandoned: 0 } : { requeued: 0, abandoned: count };
    }
  }
  return { requeued: 0, abandoned: 0 };
}

/** Makes the handlers of reports about runs. */
export function makeExecutorWrites(options: ExecutorWritesOptions): WriteHandlers {
  const { streams, payloads, blobs, batchInputsMax, batchBytesMax } = options;

  function submit(
    call: Caller,
    request: RunReference,
    stream: StreamName,
    command: RuntimeCommand & { readonly bodyHash: string },
    payloadBytes = 0,
  ): Promise<Done> {
    return streams.submit(stream, {
      name: command.type,
      command,
      bodyHash: command.bodyHash,
      bytes: COMMAND_BYTES + payloadBytes,
      retrySafe: true,
      ...(call.actor === undefined ? {} : { actor: call.actor }),
      ...(request.requestId === "" ? {} : { requestId: request.requestId }),
    });
  }

  /** A boundary that carries a session snapshot is committed only while that blob is there. */
  function submitBoundary(
    call: Caller,
    request: RunReference,
    stream: StreamName,
    command: RuntimeCommand & { readonly bodyHash: string },
    boundary: BoundaryReport | undefined,
    payloadBytes = 0,
  ): Promise<Done> {
    const commit = (): Promise<Done> => submit(call, request, stream, command, payloadBytes);
    const digest = boundary?.sessionSnapshot;
    if (digest === undefined) return commit();
    return blobs.referring(call.namespace, new Map([[digest, null]]), commit, () => true);
  }

  /** The same call has the same hash: content without the id of the call. */
  function hashed<Command>(command: Command): Command & { readonly bodyHash: string } {
    return { ...command, bodyHash: hash("sha256", canonicalText(command), "hex") };
  }

  /** Inputs that joined a run; those of a repeated call may be over and forgotten by now. */
  async function steered(stream: StreamName, done: Done, joined: readonly InputId[]) {
    const inputIds = joined.filter((inputId) => done.state.inputs.get(inputId) !== undefined);
    const inputs = await payloads.read(stream, done.state, inputIds);
    return inputs.map((input) => {
      const { appends, contextAppends, turnMetadata } = runPrimitiveOf([input]);
      return {
        inputId: input.inputId,
        // Counted already: whoever commits a boundary holds the run.
        attempt: Math.max(1, done.state.inputs.get(input.inputId)?.attempts ?? 1),
        appends: appends.map(appendToProto),
        contextAppends: contextAppends.map(contextAppendToProto),
        turnMetadata: turnMetadataToProto(turnMetadata),
      };
    });
  }

  /** The next run of a repeated call may be over by now; then there is nothing to hand out. */
  async function nextAssignment(stream: StreamName, done: Done, next: StartedRun | undefined) {
    if (next === undefined || done.state.run?.runId !== next.runId) return undefined;
    const assignment = await assignmentOf(stream, done.state, payloads);
    return assignment === undefined ? undefined : runAssignmentToProto(assignment);
  }

  return {
    commitBoundary: async (request, context) => {
      const call = callerOf(context);
      const check = makeFieldCheck();
      const { stream, ...run } = checkRun(check, call, request);
      const report = checkBoundary(check, request, "");
      finish(check);
      const { acceptSteer } = request;
      const command = hashed({ type: "commit_boundary" as const, ...run, ...report, acceptSteer });
      const done = await submitBoundary(call, request, stream, command, report);
      if (done.reply.type !== "boundary") throw new TypeError(`unexpected ${done.reply.type}`);
      const { receipt, steered: steeredIds } = done.reply;
      return create(CommitBoundaryResponseSchema, {
        receipt: receiptToProto(done.state.runtimeId, receipt, done.hash),
        steerInputs: await steered(stream, done, steeredIds),
        revision: BigInt(done.revision),
      });
    },
    completeRun: async (request, context) => {
      const call = callerOf(context);
      const check = makeFieldCheck();
      const { stream, ...run } = checkRun(check, call, request);
      const outcome = checkOutcome(check, request);
      const boundary = request.finalBoundary
        ? checkBoundary(check, request.finalBoundary, "final_boundary.")
        : undefined;
      finish(check);
      const resultBytes = checkedResultBytes(outcome, options.limits.runResultBytesMax);
      const command = hashed({
        type: "complete_run" as const,
        ...run,
        outcome,
        takeNext: request.takeNext,
        ...(boundary === undefined ? {} : { finalBoundary: boundary }),
      });
      const limited = { ...command, batchInputsMax, batchBytesMax };
      const done = await submitBoundary(call, request, stream, limited, boundary, resultBytes);
      if (done.reply.type !== "run_ended") throw new TypeError(`unexpected ${done.reply.type}`);
      const next = await nextAssignment(stream, done, done.reply.next);
      const minted = done.events.find((event) => event.type === "boundary_committed");
      const position = { revision: done.revision, index: 0, at: done.at };
      return create(CompleteRunResponseSchema, {
        revision: BigInt(done.revision),
        ...(next === undefined ? {} : { next }),
        ...(minted?.type === "boundary_committed"
          ? {
              receipt: receiptToProto(done.state.runtimeId, receiptOf(minted, position), done.hash),
            }
          : {}),
      });
    },
    failRun: async (request, context) => {
      const call = callerOf(context);
      const check = makeFieldCheck();
      const { stream, ...run } = checkRun(check, call, request);
      const { recoverable } = request;
      const error = checkBoundedText(check, request.error, "error", ERROR_BYTES_MAX) ?? "";
      finish(check);
      const command = hashed({ type: "fail_run" as const, ...run, error, recoverable });
      const done = await submit(call, request, stream, command, Buffer.byteLength(error));
      const { requeued, abandoned } = countsOf(done.events, run.runId);
      return create(FailRunResponseSchema, {
        revision: BigInt(done.revision),
        inputsRequeued: requeued,
        inputsAbandoned: abandoned,
      });
    },
    cancelRun: async (request, context) => {
      const call = callerOf(context);
      const check = makeFieldCheck();
      const { stream, ...run } = checkRun(check, call, request);
      finish(check);
      const { requeue } = request;
      const command = hashed({ type: "cancel_run" as const, ...run, requeue });
      const done = await submit(call, request, stream, command);
      const { requeued, abandoned } = countsOf(done.events, run.runId);
      return create(CancelRunResponseSchema, {
        revision: BigInt(done.revision),
        inputsRequeued: requeued,
        inputsAbandoned: abandoned,
      });
    },
    releaseRun: async (request, context) => {
      const call = callerOf(context);
      const check = makeFieldCheck();
      const { stream, ...run } = checkRun(check, call, request);
      finish(check);
      const command = hashed({ type: "release_run" as const, ...run });
      const done = await submit(call, request, stream, command);
      return create(ReleaseRunResponseSchema, {
        released: done.reply.type === "released" && done.reply.released,
        revision: BigInt(done.revision),
      });
    },
  };
}
