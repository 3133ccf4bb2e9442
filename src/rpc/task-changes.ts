/** UnregisterTask, CompleteTask, TransitionTask and TransferHandles. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AwaitOutput } from "../core/process/await-output.ts";
import type { CompletionProof, ProcessCommand } from "../core/process/commands.ts";
import { completionEventOf } from "../core/process/completion.ts";
import { processFactsOf } from "../core/process/facts-codec.ts";
import type { ProcessId, StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { canonicalText } from "../engine/commit-codec.ts";
import type { WrapRevoke } from "../flows/task-calls.ts";
import type { FoundTask } from "../flows/task-handles.ts";
import {
  type BackgroundTaskService,
  type CompleteTaskRequest,
  CompleteTaskRequestSchema,
  CompleteTaskResponseSchema,
  TransferHandlesRequestSchema,
  TransferHandlesResponseSchema,
  TransitionTaskRequestSchema,
  TransitionTaskResponseSchema,
  UnregisterTaskRequestSchema,
  UnregisterTaskResponseSchema,
} from "../../gen/keelson/task/v1/service_pb.ts";
import { type Caller, callerOf } from "./caller.ts";
import { checkEnum } from "./codec/enum-codec.ts";
import { checkId, type FieldCheck, finish, makeFieldCheck, violate } from "./codec/field-check.ts";
import { eventBodyHash } from "./codec/process-hashes.ts";
import { leaseProofFromProto } from "./codec/process-lease.ts";
import { outputFromProto } from "./codec/process-output.ts";
import { requestHash } from "./codec/request-hash.ts";
import { reportedStates } from "./codec/task-enums.ts";
import {
  assertPayloadBytes,
  checkTerms,
  type CommandTerms,
  commandEnvelope,
} from "./process-calls.ts";
import type { TaskServiceOptions } from "./task-options.ts";
import { checkScope, checkTaskIds, isLiveTask, shownTask } from "./task-scope.ts";

type ChangeService = Pick<
  ServiceImpl<typeof BackgroundTaskService>,
  "unregisterTask" | "completeTask" | "transitionTask" | "transferHandles"
>;

/** On whose word tasks end that are run in their session. */
const GRANTED_TO = "session";

/** What becomes of a live external task that its session forgets. */
const UNREGISTERED: AwaitOutput = { type: "cancelled", message: "unregistered" };

/** How a task is to end; an abandoned process is no end that a task could be given. */
function taskOutput(check: FieldCheck, { output }: CompleteTaskRequest): AwaitOutput {
  if (output?.output.case === "abandoned") {
    violate(check, "output", "must be success, failure or cancelled");
  }
  return outputFromProto(check, output);
}

function completionOf(
  processId: ProcessId,
  output: AwaitOutput,
  by: CompletionProof,
): Extract<ProcessCommand, { readonly type: "complete_process" }> {
  const { eventType, payload } = completionEventOf(output, by);
  const bodyHash = eventBodyHash(eventType, payload);
  const type = "complete_process";
  return { type, processId, output, bodyHash, by, isSettledByAnyEnd: true };
}

function taskLive({ taskId, processId, fold }: FoundTask): RefusedError {
  const state = processFactsOf(fold.state)?.task?.state ?? "";
  const message = "The task is live and run by somebody; cancel it first";
  return new RefusedError(refusalOf("TASK_LIVE", message, { taskId, processId, state }));
}

/** Makes the part of the service that changes single tasks, and hands tasks over. */
export function makeTaskChanges(options: TaskServiceOptions): ChangeService {
  const { streams, tasks, limits } = options;

  async function submit(
    caller: Caller,
    stream: StreamName,
    command: ProcessCommand,
    terms: CommandTerms,
  ) {
    return await streams.submit(stream, commandEnvelope(caller, command, terms));
  }

  /** Commits a command to a task and answers it as it is then. */
  async function change(
    caller: Caller,
    found: FoundTask,
    command: ProcessCommand,
    terms: CommandTerms,
  ) {
    const committed = await submit(caller, found.stream, command, terms);
    const { state, revision, events } = committed;
    return {
      task: await shownTask(streams, found, { state, revision }),
      changed: events.length > 0,
      revision: BigInt(revision),
    };
  }

  return {
    unregisterTask: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const scope = checkScope(check, caller, request.sessionId);
      const taskId = checkId(check, request.taskId, "task_id");
      const hashOf = (): string => requestHash(UnregisterTaskRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const wrap: WrapRevoke = (command) => commandEnvelope(caller, command, terms);
      const before =
        terms.requestId === undefined ? undefined : await tasks.wasForgotten(scope, taskId, wrap);
      if (before?.revoked === true) {
        const revision = BigInt(before.revision);
        return create(UnregisterTaskResponseSchema, { unregistered: true, revision });
      }
      const found = await tasks.find(scope, taskId);
      if (found === undefined) return create(UnregisterTaskResponseSchema);
      if (isLiveTask(found)) {
        const isExternal = found.fold.state.registration?.task?.visibility === "external";
        if (!isExternal) throw taskLive(found);
        const by = { type: "external_owner", grantedTo: GRANTED_TO } as const;
        const command = completionOf(found.processId, UNREGISTERED, by);
        await submit(caller, found.stream, command, terms);
      }
      const { revision } = await tasks.forget(scope, found.processId, wrap);
      return create(UnregisterTaskResponseSchema, {
        unregistered: true,
        revision: BigInt(revision),
      });
    },

    completeTask: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const scope = checkScope(check, caller, request.sessionId);
      const taskId = checkId(check, request.taskId, "task_id");
      const output = taskOutput(check, request);
      const lease = request.lease && leaseProofFromProto(check, request.lease);
      const hashOf = (): string => requestHash(CompleteTaskRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const payloadBytes = Buffer.byteLength(canonicalText(output));
      assertPayloadBytes("output", payloadBytes, limits.inputPayloadBytesMax);
      const found = await tasks.find(scope, taskId);
      if (found === undefined) return create(CompleteTaskResponseSchema);
      const by: CompletionProof = lease
        ? { type: "lease", ...lease }
        : { type: "external_owner", grantedTo: GRANTED_TO };
      const command = completionOf(found.processId, output, by);
      const changed = await change(caller, found, command, { ...terms, payloadBytes });
      return create(CompleteTaskResponseSchema, changed);
    },

    transitionTask: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const scope = checkScope(check, caller, request.sessionId);
      const taskId = checkId(check, request.taskId, "task_id");
      const report = checkEnum(check, reportedStates, request.state, "state") ?? "running";
      const hashOf = (): string => requestHash(TransitionTaskRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const found = await tasks.find(scope, taskId);
      if (found === undefined) return create(TransitionTaskResponseSchema);
      const command = { type: "report_task", processId: found.processId, report } as const;
      return create(TransitionTaskResponseSchema, await change(caller, found, command, terms));
    },

    transferHandles: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const from = checkScope(check, caller, request.fromSessionId, "from_session_id");
      const to = checkScope(check, caller, request.toSessionId, "to_session_id");
      const taskIds = new Set(checkTaskIds(check, request.taskIds, "task_ids"));
      if (taskIds.size < request.taskIds.length) violate(check, "task_ids", "names a task twice");
      const hashOf = (): string => requestHash(TransferHandlesRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf, false);
      finish(check);
      const isNothing = taskIds.size === 0 || from.sessionId === to.sessionId;
      if (isNothing) return create(TransferHandlesResponseSchema);
      const moved = await tasks.transfer({
        from,
        toSessionId: to.sessionId,
        taskIds: [...taskIds],
        wrap: (command) => commandEnvelope(caller, command, terms),
      });
      return create(TransferHandlesResponseSchema, {
        tasks: await Promise.all(moved.tasks.map((task) => shownTask(streams, task, task.fold))),
        revision: BigInt(moved.revision),
      });
    },
  };
}
