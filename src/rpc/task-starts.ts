/** SpawnTask and RegisterTask: tasks begin as processes with a facet. */
import { clone, create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { ProcessCommand } from "../core/process/commands.ts";
import { completeRegistration, type DescribedProcess } from "../core/process/core-types.ts";
import type { TaskRegistration, TaskVisibility } from "../core/process/task.ts";
import { type ProcessId, runtimeIdOf } from "../core/shared/ids.ts";
import { canonicalText } from "../engine/commit-codec.ts";
import type { FoundTask, TaskScope } from "../flows/task-handles.ts";
import {
  ProcessProvenanceSchema,
  ProcessRegistrationSchema,
} from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  type SessionRunner,
  type TaskDescription,
  TaskDescriptionSchema,
  type WorkerRunner,
} from "../../gen/keelson/task/v1/messages_pb.ts";
import {
  type BackgroundTaskService,
  RegisterTaskRequestSchema,
  RegisterTaskResponseSchema,
  type SpawnTaskRequest,
  SpawnTaskRequestSchema,
  SpawnTaskResponseSchema,
} from "../../gen/keelson/task/v1/service_pb.ts";
import { type Caller, callerOf } from "./caller.ts";
import { checkEnum } from "./codec/enum-codec.ts";
import {
  checkId,
  checkLabels,
  type FieldCheck,
  finish,
  makeFieldCheck,
  violate,
} from "./codec/field-check.ts";
import { jsonFromProto } from "./codec/json-value.ts";
import { registrationHash } from "./codec/process-hashes.ts";
import { registrationFromProto } from "./codec/process-registration.ts";
import { requestHash } from "./codec/request-hash.ts";
import { spawnedVisibilities } from "./codec/task-enums.ts";
import { taskFromProto } from "./codec/task.ts";
import { assertSchemas } from "./process-changes.ts";
import {
  assertPayloadBytes,
  checkTerms,
  type CommandTerms,
  commandEnvelope,
} from "./process-calls.ts";
import type { TaskServiceOptions } from "./task-options.ts";
import { checkScope, shownTask } from "./task-scope.ts";

type StartService = Pick<ServiceImpl<typeof BackgroundTaskService>, "spawnTask" | "registerTask">;

/** A checked task that is about to begin. */
interface CheckedStart {
  readonly scope: TaskScope;
  readonly task: TaskRegistration;
  readonly described: DescribedProcess;
  readonly terms: CommandTerms;
}

/** The process of a task that is run in its session. */
function sessionProcess(
  check: FieldCheck,
  runner: SessionRunner | undefined,
  field: string,
): Pick<DescribedProcess, "input" | "eventTypes" | "disposition" | "labels"> {
  const metadata = jsonFromProto(check, runner?.metadata, `${field}.metadata`);
  return {
    input: { type: "external", metadata },
    eventTypes: [],
    disposition: "externally_owned",
    labels: {},
  };
}

/** The process of a task that workers run, as the registry would take it. */
function workerProcess(
  check: FieldCheck,
  { registration }: WorkerRunner,
  { sessionId }: TaskScope,
): DescribedProcess {
  if (registration === undefined) violate(check, "worker.registration", "is required");
  if (registration?.processId) {
    violate(check, "worker.registration.process_id", "must be empty: the server names it");
  }
  if (registration?.provenance !== undefined) {
    violate(check, "worker.registration.provenance", "must be absent: it is the session");
  }
  const originator = { case: "session", value: { sessionId } } as const;
  const complete = clone(
    ProcessRegistrationSchema,
    registration ?? create(ProcessRegistrationSchema),
  );
  complete.provenance = create(ProcessProvenanceSchema, { originator });
  check.prefix = "worker.";
  const described = registrationFromProto(check, complete);
  if (described.disposition === "externally_owned") {
    violate(check, "registration.disposition", "must be RERUNNABLE or OWNER_BOUND for a worker");
  }
  check.prefix = "";
  return described;
}

function spawnedProcess(check: FieldCheck, request: SpawnTaskRequest, scope: TaskScope) {
  const { runner } = request;
  switch (runner.case) {
    case "session":
      return sessionProcess(check, runner.value, "session");
    case "worker":
      return workerProcess(check, runner.value, scope);
    case undefined:
      violate(check, "runner", "is required: session or worker");
      return sessionProcess(check, undefined, "session");
  }
}

/** Makes the part of the service that begins tasks. */
export function makeTaskStarts(options: TaskServiceOptions): StartService {
  const { streams, tasks, limits, entropy, schemas } = options;

  /** The id of a task to begin; one that the server makes cannot be found again. */
  function checkTaskId(check: FieldCheck, description: TaskDescription, requestId: string): string {
    const { taskId } = description;
    if (taskId !== "") return checkId(check, taskId, "task.task_id");
    if (requestId !== "") violate(check, "task.task_id", "is required together with request_id");
    return entropy.freshId();
  }

  /** What all beginnings have in common. */
  function checkTask(
    check: FieldCheck,
    request: Pick<SpawnTaskRequest, "task" | "requestId">,
    scope: TaskScope,
    visibility: TaskVisibility,
    process: Omit<DescribedProcess, "provenance">,
  ): Pick<CheckedStart, "task" | "described"> {
    if (request.task === undefined) violate(check, "task", "is required");
    const description = request.task ?? create(TaskDescriptionSchema);
    const taskId = checkTaskId(check, description, request.requestId);
    const { sessionId } = scope;
    const task = taskFromProto(check, description, { taskId, sessionId }, visibility);
    const labels = checkLabels(check, description.labels, "task.labels") ?? {};
    const described: DescribedProcess = {
      wakeRuntimeId: runtimeIdOf(sessionId),
      ...process,
      provenance: { originator: { type: "session", scope: { sessionId } } },
      identity: process.identity ?? { kind: `task.${task.kind}`, label: taskId },
      labels: { ...process.labels, ...labels },
      task,
    };
    return { task, described };
  }

  async function start(caller: Caller, checked: CheckedStart): Promise<FoundTask> {
    const { scope, task, described, terms } = checked;
    assertSchemas(schemas.violationsOf(described.eventTypes));
    const registration = completeRegistration(described);
    const payloadBytes = Buffer.byteLength(canonicalText(registration));
    assertPayloadBytes("task", payloadBytes, limits.inputPayloadBytesMax);
    const hash = registrationHash(registration);
    type Register = Extract<ProcessCommand, { readonly type: "register_process" }>;
    const registerAs = (processId: ProcessId) => {
      const command: Register = {
        type: "register_process",
        processId,
        registration,
        registrationHash: hash,
      };
      return commandEnvelope(caller, command, { ...terms, payloadBytes });
    };
    return await tasks.start({ scope, taskId: task.taskId, registerAs });
  }

  return {
    spawnTask: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const scope = checkScope(check, caller, request.sessionId);
      const wire = request.visibility;
      const visibility = checkEnum(check, spawnedVisibilities, wire, "visibility") ?? "managed";
      const process = spawnedProcess(check, request, scope);
      const checked = checkTask(check, request, scope, visibility, process);
      const hashOf = (): string => requestHash(SpawnTaskRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf, false);
      finish(check);
      const started = await start(caller, { scope, ...checked, terms });
      return create(SpawnTaskResponseSchema, {
        task: await shownTask(streams, started, started.fold),
        revision: BigInt(started.fold.revision),
      });
    },

    registerTask: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const scope = checkScope(check, caller, request.sessionId);
      const process = sessionProcess(check, request.runner, "runner");
      const checked = checkTask(check, request, scope, "external", process);
      const hashOf = (): string => requestHash(RegisterTaskRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf, false);
      finish(check);
      const started = await start(caller, { scope, ...checked, terms });
      return create(RegisterTaskResponseSchema, {
        task: await shownTask(streams, started, started.fold),
        revision: BigInt(started.fold.revision),
      });
    },
  };
}
