/** WaitAll, WaitAny, WaitCompletions and WatchOperation: the calls that wait for operations. */
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { OperationResult } from "../core/runtime/operation-events.ts";
import type { Operation as CoreOperation } from "../core/runtime/operation-state.ts";
import { type OperationId, operationIdOf, type StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Operation } from "../../gen/keelson/operation/v1/messages_pb.ts";
import {
  type OperationService,
  WaitAllResponseSchema,
  WaitAnyResponseSchema,
  WaitCompletionsResponseSchema,
  WatchOperationEndReason,
  type WatchOperationResponse,
  WatchOperationResponseSchema,
} from "../../gen/keelson/operation/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { checkId, type FieldCheck, finish, makeFieldCheck, violate } from "./codec/field-check.ts";
import { PAGE_SIZE_MAX } from "./codec/page-token.ts";
import type { OperationServiceOptions } from "./operation-options.ts";
import { feedTermsOf, readFeed } from "./operation-reads.ts";
import { checkRuntime, freshHistory, runtimeNotRegistered } from "./runtime-calls.ts";
import { showOperations } from "./shown-operations.ts";
import type { RuntimeFold } from "./stored-inputs.ts";
import { findOperation, readResults } from "./stored-operations.ts";
import { waitMs } from "./wait-time.ts";

type WaitService = Pick<
  ServiceImpl<typeof OperationService>,
  "waitAll" | "waitAny" | "waitCompletions" | "watchOperation"
>;

const BOOKMARK_INTERVAL_MS = 5_000;

/** What the requests to wait for operations have. */
interface WaitRequest {
  readonly runtimeId: string;
  readonly operationIds: readonly string[];
  readonly timeout?: Duration | undefined;
}

function checkOperationIds(check: FieldCheck, ids: readonly string[]): readonly OperationId[] {
  if (ids.length > PAGE_SIZE_MAX) {
    violate(check, "operation_ids", `has ${ids.length}, at most ${PAGE_SIZE_MAX} are allowed`);
    return [];
  }
  return ids.map((id, index) => operationIdOf(checkId(check, id, `operation_ids[${index}]`)));
}

/** Throws OPERATION_WAIT_DUPLICATE. */
function refuseDuplicates(operationIds: readonly OperationId[]): void {
  const seen = new Set<OperationId>();
  for (const operationId of operationIds) {
    if (seen.has(operationId)) {
      const message = "A wait names every operation once";
      throw new RefusedError(refusalOf("OPERATION_WAIT_DUPLICATE", message, { operationId }));
    }
    seen.add(operationId);
  }
}

function isRegistered({ state }: RuntimeFold): boolean {
  return state.registration === "registered";
}

function endOf(reason: WatchOperationEndReason): WatchOperationResponse {
  return create(WatchOperationResponseSchema, { message: { case: "end", value: { reason } } });
}

/** Makes the waiting part of the service. */
export function makeOperationWaitCalls(options: OperationServiceOptions): WaitService {
  const { streams, limits, waits, drainSignal } = options;

  async function waited(
    context: HandlerContext,
    request: WaitRequest,
    endedCountOf: (operationIds: readonly OperationId[]) => number,
  ) {
    const check = makeFieldCheck();
    const { namespace } = callerOf(context);
    const runtime = checkRuntime(check, namespace, request.runtimeId);
    const operationIds = checkOperationIds(check, request.operationIds);
    const endedCount = endedCountOf(operationIds);
    if (endedCount > operationIds.length) {
      violate(check, "operation_ids", "is required: at least one operation");
    }
    const timeoutMs = waitMs(check, request.timeout, 0, limits.longPollMaxMs, context);
    finish(check);
    refuseDuplicates(operationIds);
    const { stream } = runtime;
    const fresh = await freshHistory(streams, runtime);
    const terms = { timeoutMs: isRegistered(fresh) ? timeoutMs : 0, signal: context.signal };
    const found = await waits.untilEnded({ stream, operationIds, endedCount, terms }, fresh);
    const known = operationIds.flatMap((operationId) => found.operations.get(operationId) ?? []);
    const ended = known.filter((operation) => operation.end !== undefined);
    // A wait that was not satisfied ends with its runtime.
    if (ended.length < endedCount && !isRegistered(found.fold)) {
      throw runtimeNotRegistered(runtime.runtimeId);
    }
    return { stream, fold: found.fold, known, ended, results: found.results };
  }

  async function shown(
    stream: StreamName,
    fold: RuntimeFold,
    operations: readonly CoreOperation[],
    known: ReadonlyMap<OperationId, OperationResult>,
  ): Promise<Operation[]> {
    const results = await readResults(streams, stream, operations, known);
    return showOperations(waits, stream, fold, operations, results);
  }

  async function stateOf(
    stream: StreamName,
    fold: RuntimeFold,
    operation: CoreOperation,
    known: ReadonlyMap<OperationId, OperationResult>,
  ): Promise<WatchOperationResponse> {
    const [shownOperation] = await shown(stream, fold, [operation], known);
    const revision = BigInt(fold.revision);
    const value = { revision, ...(shownOperation && { operation: shownOperation }) };
    return create(WatchOperationResponseSchema, { message: { case: "state", value } });
  }

  function endingOf(
    fold: RuntimeFold,
    operation: CoreOperation,
  ): WatchOperationResponse | undefined {
    if (operation.end !== undefined) return endOf(WatchOperationEndReason.OPERATION_ENDED);
    if (!isRegistered(fold)) {
      return endOf(WatchOperationEndReason.RUNTIME_UNREGISTERED);
    }
    return drainSignal.aborted ? endOf(WatchOperationEndReason.SERVER_DRAINING) : undefined;
  }

  async function* watched(
    stream: StreamName,
    first: RuntimeFold,
    operationId: OperationId,
    signal: AbortSignal,
  ): AsyncGenerator<WatchOperationResponse, void> {
    let fold = first;
    let results: ReadonlyMap<OperationId, OperationResult> = new Map();
    let sent: CoreOperation | undefined;
    for (;;) {
      const operation = await findOperation(streams, stream, fold, operationId);
      if (operation !== sent) yield await stateOf(stream, fold, operation, results);
      sent = operation;
      const over = endingOf(fold, operation);
      if (over !== undefined) {
        yield over;
        return;
      }
      const terms = { timeoutMs: BOOKMARK_INTERVAL_MS, signal };
      const next = await waits.untilChanged(stream, operation, terms);
      if (next === undefined && !drainSignal.aborted) {
        const value = { revision: BigInt((streams.peek(stream) ?? fold).revision) };
        yield create(WatchOperationResponseSchema, { message: { case: "bookmark", value } });
      }
      ({ fold, results } = next ?? { fold, results });
    }
  }

  return {
    waitAll: async (request, context) => {
      const done = await waited(context, request, (operationIds) => operationIds.length);
      return create(WaitAllResponseSchema, {
        operations: await shown(done.stream, done.fold, done.known, done.results),
        allEnded: done.ended.length === done.known.length,
        revision: BigInt(done.fold.revision),
      });
    },

    waitAny: async (request, context) => {
      const done = await waited(context, request, () => 1);
      return create(WaitAnyResponseSchema, {
        operations: await shown(done.stream, done.fold, done.ended, done.results),
        revision: BigInt(done.fold.revision),
      });
    },

    waitCompletions: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const feed = feedTermsOf(check, request);
      const timeoutMs = waitMs(check, request.timeout, 0, limits.longPollMaxMs, context);
      finish(check);
      const { stream } = runtime;
      const terms = { timeoutMs, signal: context.signal };
      const fresh = await freshHistory(streams, runtime);
      const next = isRegistered(fresh)
        ? await waits.untilCompleted(stream, feed.afterSequence, terms)
        : undefined;
      const fold = next ?? fresh;
      if (fold.state.operations.watermark <= feed.afterSequence && !isRegistered(fold)) {
        throw runtimeNotRegistered(runtime.runtimeId);
      }
      const part = await readFeed(streams, stream, fold, feed);
      return create(WaitCompletionsResponseSchema, { ...part });
    },

    watchOperation: async function* watchOperation(request, context) {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const operationId = operationIdOf(checkId(check, request.operationId, "operation_id"));
      finish(check);
      const { stream } = runtime;
      const leave = waits.attend(stream, [operationId]);
      try {
        const fold = await freshHistory(streams, runtime);
        yield* watched(stream, fold, operationId, context.signal);
      } finally {
        leave();
      }
    },
  };
}
