/** ListTasks, GetTask, ValidateHandlesVisible and AwaitHidden. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { processFactsOf } from "../core/process/facts-codec.ts";
import type { TaskKind, TaskStateName } from "../core/process/task.ts";
import type { TimeMs } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import {
  AwaitHiddenResponseSchema,
  type BackgroundTaskService,
  GetTaskResponseSchema,
  type ListTasksRequest,
  ListTasksResponseSchema,
  ValidateHandlesVisibleResponseSchema,
} from "../../gen/keelson/task/v1/service_pb.ts";
import type { FoundTask, TaskScope } from "../flows/task-handles.ts";
import { callerOf } from "./caller.ts";
import { checkEnums } from "./codec/enum-codec.ts";
import { checkId, type FieldCheck, finish, makeFieldCheck, violate } from "./codec/field-check.ts";
import { checkPageSize, positionsOf, positionsTokenOf } from "./codec/page-token.ts";
import { taskKinds, taskStates } from "./codec/task-enums.ts";
import { taskToProto } from "./codec/task.ts";
import { timestampFromProto, timestampToProto } from "./codec/time.ts";
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

type ReadService = Pick<
  ServiceImpl<typeof BackgroundTaskService>,
  "listTasks" | "getTask" | "validateHandlesVisible" | "awaitHidden"
>;

/** Which tasks a list is to show. */
interface TaskQuery {
  readonly states?: readonly TaskStateName[];
  readonly kinds?: readonly TaskKind[];
}

function queryOf(check: FieldCheck, { filter }: ListTasksRequest): TaskQuery {
  const states = checkEnums(check, taskStates, filter?.states ?? [], "filter.states");
  const kinds = checkEnums(check, taskKinds, filter?.kinds ?? [], "filter.kinds");
  return { ...(states && { states }), ...(kinds && { kinds }) };
}

function matches({ states, kinds }: TaskQuery, { fold }: FoundTask): boolean {
  const task = processFactsOf(fold.state)?.task;
  if (!task) return false;
  const isState = states === undefined || states.includes(task.state);
  return isState && (kinds === undefined || kinds.includes(task.kind));
}

/** Whether a task stands behind the last one of the page before. */
function isBehind(task: FoundTask, position: readonly string[] | undefined): boolean {
  if (position === undefined) return true;
  const [createdAt, processId = ""] = position;
  const difference = task.fold.state.createdAt - Number(createdAt);
  return difference === 0 ? task.processId > processId : difference > 0;
}

function byEnd(left: FoundTask, right: FoundTask): number {
  return (left.fold.state.end?.endedAt ?? 0) - (right.fold.state.end?.endedAt ?? 0);
}

/** Whether a task failed at or after a time; an abandoned one has failed, too. */
function hasFailedSince({ fold }: FoundTask, sinceMs: TimeMs): boolean {
  const { end } = fold.state;
  if (end === null || end.endedAt < sinceMs) return false;
  return end.status === "failed" || end.status === "abandoned";
}

/** Makes the reading part of the service. */
export function makeTaskReads(options: TaskServiceOptions): ReadService {
  const { streams, tasks, waits, limits, nowMs } = options;

  async function hiddenOf(scope: TaskScope): Promise<readonly FoundTask[]> {
    return (await tasks.all(scope)).filter((task) => !isListed(task));
  }

  return {
    listTasks: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const scope = checkScope(check, { namespace }, request.sessionId);
      const query = queryOf(check, request);
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const { sessionId } = scope;
      const filter = { list: "tasks", namespace, sessionId, ...query };
      const position = positionsOf(filter, request.pageToken);
      const behind = (await tasks.all(scope)).filter((task) => {
        return isListed(task) && isBehind(task, position) && matches(query, task);
      });
      const page = behind.slice(0, pageSize);
      const last = behind.length > pageSize ? page.at(-1) : undefined;
      const next = last && [String(last.fold.state.createdAt), last.processId];
      return create(ListTasksResponseSchema, {
        tasks: page.map((task) => taskToProto(sessionId, task.fold)),
        nextPageToken: next === undefined ? "" : positionsTokenOf(filter, next),
      });
    },

    getTask: async (request, context) => {
      const check = makeFieldCheck();
      const scope = checkScope(check, callerOf(context), request.sessionId);
      const taskId = checkId(check, request.taskId, "task_id");
      finish(check);
      const found = await foundTask(tasks, scope, taskId);
      return create(GetTaskResponseSchema, { task: await shownTask(streams, found, found.fold) });
    },

    validateHandlesVisible: async (request, context) => {
      const check = makeFieldCheck();
      const scope = checkScope(check, callerOf(context), request.sessionId);
      const wanted = checkTaskIds(check, request.taskIds, "task_ids");
      finish(check);
      const response = create(ValidateHandlesVisibleResponseSchema);
      if (wanted.length === 0) return response;
      const all = await tasks.all(scope);
      const seen = all.filter((task) => isListed(task) && isLiveTask(task));
      const visible = new Set(seen.map(({ taskId }) => taskId));
      const missing = wanted.find((taskId) => !visible.has(taskId));
      if (missing === undefined) return response;
      const message = "The handle is not live or not visible in this session";
      const metadata = { sessionId: scope.sessionId, taskId: missing };
      throw new RefusedError(refusalOf("HANDLE_NOT_VISIBLE", message, metadata));
    },

    awaitHidden: async (request, context) => {
      const check = makeFieldCheck();
      const scope = checkScope(check, callerOf(context), request.sessionId);
      const timeoutMs = waitMs(check, request.timeout, 0, limits.longPollMaxMs, context);
      const { endedSince } = request;
      const sinceMs = endedSince === undefined ? 0 : timestampFromProto(endedSince);
      if (sinceMs === undefined) {
        violate(check, "ended_since", "must be a time of the years 1 to 9999");
      }
      finish(check);
      const endMs = nowMs() + timeoutMs;
      for (;;) {
        const asOfMs = nowMs();
        const hidden = await hiddenOf(scope);
        const live = hidden.filter(isLiveTask);
        const [first] = live;
        const leftMs = endMs - nowMs();
        const terms = { timeoutMs: leftMs, signal: context.signal };
        const isOver = first === undefined || leftMs <= 0;
        if (!isOver && (await waits.end(first.stream, terms)) !== undefined) continue;
        const failed = hidden.filter((task) => hasFailedSince(task, sinceMs ?? 0));
        const [failure] = failed.toSorted(byEnd);
        return create(AwaitHiddenResponseSchema, {
          drained: live.length === 0,
          liveCount: live.length,
          ...(failure && { firstFailure: await shownTask(streams, failure, failure.fold) }),
          asOf: timestampToProto(asOfMs),
        });
      }
    },
  };
}
