/** CancelTask, CancelAllTasks and CancelUnreferenced: asked first, ended after the grace. */
import { create } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { BackgroundTask } from "../../gen/keelson/task/v1/messages_pb.ts";
import {
  type BackgroundTaskService,
  CancelAllTasksRequestSchema,
  CancelAllTasksResponseSchema,
  CancelTaskRequestSchema,
  CancelTaskResponseSchema,
  CancelUnreferencedRequestSchema,
  CancelUnreferencedResponseSchema,
} from "../../gen/keelson/task/v1/service_pb.ts";
import { CANCEL_GRACE_MS } from "../core/process/task.ts";
import type { FoundTask, TaskScope } from "../flows/task-handles.ts";
import { type Caller, callerOf } from "./caller.ts";
import {
  checkBoundedText,
  checkId,
  type FieldCheck,
  finish,
  makeFieldCheck,
  REASON_BYTES_MAX,
  violate,
} from "./codec/field-check.ts";
import { requestHash } from "./codec/request-hash.ts";
import { taskToProto } from "./codec/task.ts";
import { durationFromProto } from "./codec/time.ts";
import { checkTerms, type CommandTerms, commandEnvelope } from "./process-calls.ts";
import { makeSettleStep } from "./recorded-steps.ts";
import type { TaskServiceOptions } from "./task-options.ts";
import {
  checkScope,
  checkTaskIds,
  foundTask,
  isListed,
  isLiveTask,
  shownTask,
} from "./task-scope.ts";
import { waitMs } from "./wait-time.ts";

type CancelService = Pick<
  ServiceImpl<typeof BackgroundTaskService>,
  "cancelTask" | "cancelAllTasks" | "cancelUnreferenced"
>;

const GRACE_MS_MAX = 3_600_000;

/** How tasks are to be cancelled. */
interface CancelTerms {
  readonly reason: string | null;
  readonly graceMs: number;
}

function checkCancel(
  check: FieldCheck,
  request: { readonly reason: string; readonly grace?: Duration | undefined },
): CancelTerms {
  const reason = checkBoundedText(check, request.reason, "reason", REASON_BYTES_MAX) ?? null;
  const { grace } = request;
  const graceMs = grace === undefined ? CANCEL_GRACE_MS : durationFromProto(grace);
  if (graceMs === undefined || graceMs > GRACE_MS_MAX) {
    violate(check, "grace", `must be from 0 to ${GRACE_MS_MAX} ms`);
  }
  return { reason, graceMs: graceMs ?? 0 };
}

/** One task that a call is to cancel. */
type ChosenTask = Pick<FoundTask, "processId" | "stream">;

/** Makes the part of the service that cancels. */
export function makeTaskCancels(options: TaskServiceOptions): CancelService {
  const { streams, tasks, waits, limits } = options;
  const settle = makeSettleStep(options.records);

  async function cancel(
    caller: Caller,
    { stream, processId }: ChosenTask,
    cancelTerms: CancelTerms,
    terms: CommandTerms,
  ) {
    const command = { type: "cancel_task", processId, ...cancelTerms } as const;
    const { state, revision } = await streams.submit(
      stream,
      commandEnvelope(caller, command, terms),
    );
    return { state, revision };
  }

  /**
   * Cancels the live listed tasks of a session but for those to keep. A repetition cancels the same
   * ones, those that have ended since and none that began since.
   */
  async function cancelMany(
    caller: Caller,
    scope: TaskScope,
    keep: ReadonlySet<string>,
    cancelTerms: CancelTerms,
    terms: CommandTerms,
  ): Promise<BackgroundTask[]> {
    const choose = async (): Promise<readonly ChosenTask[]> => {
      const all = await tasks.all(scope);
      return all.flatMap((task) => {
        const { processId, stream } = task;
        const isChosen = isListed(task) && isLiveTask(task) && !keep.has(task.taskId);
        return isChosen ? [{ processId, stream }] : [];
      });
    };
    const { requestId } = terms;
    const mark = requestId === undefined ? undefined : { requestId, bodyHash: terms.hashOf() };
    const chosen = await (mark ? settle(caller.namespace, mark, 1, choose) : choose());
    const cancelled = chosen.map(async (task) => {
      return taskToProto(scope.sessionId, await cancel(caller, task, cancelTerms, terms));
    });
    return await Promise.all(cancelled);
  }

  return {
    cancelTask: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const scope = checkScope(check, caller, request.sessionId);
      const taskId = checkId(check, request.taskId, "task_id");
      const cancelTerms = checkCancel(check, request);
      const timeoutMs = waitMs(check, request.timeout, 0, limits.longPollMaxMs, context);
      const hashOf = (): string => requestHash(CancelTaskRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const found = await foundTask(tasks, scope, taskId);
      let fold = await cancel(caller, found, cancelTerms, terms);
      if (request.wait && fold.state.end === null) {
        await waits.end(found.stream, { timeoutMs, signal: context.signal });
        fold = await streams.fresh(found.stream);
      }
      return create(CancelTaskResponseSchema, {
        task: await shownTask(streams, found, fold),
        revision: BigInt(fold.revision),
      });
    },

    cancelAllTasks: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const scope = checkScope(check, caller, request.sessionId);
      const cancelTerms = checkCancel(check, request);
      const hashOf = (): string => requestHash(CancelAllTasksRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      return create(CancelAllTasksResponseSchema, {
        tasks: await cancelMany(caller, scope, new Set(), cancelTerms, terms),
      });
    },

    cancelUnreferenced: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const scope = checkScope(check, caller, request.sessionId);
      const keep = new Set(checkTaskIds(check, request.keepTaskIds, "keep_task_ids"));
      const cancelTerms = checkCancel(check, request);
      const hashOf = (): string => requestHash(CancelUnreferencedRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      return create(CancelUnreferencedResponseSchema, {
        tasks: await cancelMany(caller, scope, keep, cancelTerms, terms),
      });
    },
  };
}
