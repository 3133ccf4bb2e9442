/**
 * What a session does with its background tasks where more than one stream has a part in it: tasks
 * are begun under a name that no live task of the session has, found by it, forgotten, and moved to
 * another session.
 */
import type { GrantsCommand } from "../core/grants/commands.ts";
import { sessionDeleted } from "../core/grants/refusals.ts";
import type { ProcessCommand } from "../core/process/commands.ts";
import type { ProcessState } from "../core/process/state.ts";
import { notRegistered, refusedByTable } from "../core/runtime/refusals.ts";
import { runtimeAggregate } from "../core/runtime/aggregate.ts";
import type { Namespace, ProcessId, Revision, SessionId, StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { ProcessFold, ProcessStreams } from "../dispatch/process-streams.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import type { CommandEnvelope } from "../engine/stream-entry.ts";
import { streamName } from "../engine/stream-name.ts";
import {
  flowEnvelope,
  grantsStreamOf,
  type GrantsStreams,
  processStreamOf,
} from "./flow-streams.ts";
import type { Flows } from "./flows.ts";
import type { HandleCalls } from "./handle-calls.ts";
import { taskHandlesNamed, taskHandlesOf, taskProcessId, type TaskHandle } from "./task-handles.ts";

/** The session that tasks are looked for in. */
export interface TaskScope {
  readonly namespace: Namespace;
  readonly sessionId: SessionId;
}

/** A task of a session. */
export interface FoundTask extends TaskHandle {
  /** The session that has the grant. */
  readonly sessionId: SessionId;
  readonly stream: StreamName;
  readonly fold: ProcessFold;
}

type RegisterCommand = Extract<ProcessCommand, { readonly type: "register_process" }>;

type BeginCommand = Extract<GrantsCommand, { readonly type: "begin_transfer" }>;

type RevokeCommand = Extract<GrantsCommand, { readonly type: "revoke_handle" }>;

/** Puts the command to the grants of a session into its envelope. */
export type WrapRevoke = (command: RevokeCommand) => CommandEnvelope<RevokeCommand>;

/** A task that its session was to forget. */
export interface Forgotten {
  /** Whether there was one. */
  readonly revoked: boolean;
  /** Of the grants of the session. */
  readonly revision: Revision;
}

/** A task to begin. */
export interface TaskStart {
  readonly scope: TaskScope;
  readonly taskId: string;
  readonly registerAs: (processId: ProcessId) => CommandEnvelope<RegisterCommand>;
}

/** Tasks to move. */
export interface TaskTransfer {
  readonly from: TaskScope;
  readonly toSessionId: SessionId;
  readonly taskIds: readonly string[];
  /** Puts the command to the grants of the source into its envelope. */
  readonly wrap: (command: BeginCommand) => CommandEnvelope<BeginCommand>;
}

/** What the target has after a transfer. */
export interface TransferredTasks {
  /** Every task named that the target has now, in the order of the request. */
  readonly tasks: readonly FoundTask[];
  /** Of the grants of the source. */
  readonly revision: Revision;
}

/** The calls. */
export interface TaskCalls {
  /** The task of this name: the live one, or the one that ended last. */
  readonly find: (scope: TaskScope, taskId: string) => Promise<FoundTask | undefined>;
  /** Every task of the session, hidden and ended ones too, by their beginning. */
  readonly all: (scope: TaskScope) => Promise<readonly FoundTask[]>;
  /** Answered once the session has the grant. Refuses TASK_ALREADY_EXISTS. */
  readonly start: (start: TaskStart) => Promise<FoundTask>;
  /** Has the session know the task no longer. */
  readonly forget: (scope: TaskScope, processId: ProcessId, wrap: WrapRevoke) => Promise<Forgotten>;
  /** Whether this very call, by its request id, had a task of this name forgotten before. */
  readonly wasForgotten: (scope: TaskScope, taskId: string, wrap: WrapRevoke) => Promise<Forgotten>;
  /** All that are there, or none. Refuses TASK_ALREADY_EXISTS, HANDLE_IN_TRANSFER. */
  readonly transfer: (transfer: TaskTransfer) => Promise<TransferredTasks>;
}

/** What the calls work with. */
export interface TaskCallsOptions {
  readonly runtimes: Pick<RuntimeStreams, "fresh">;
  readonly grants: Pick<GrantsStreams, "fresh">;
  readonly processes: Pick<ProcessStreams, "fresh" | "submit">;
  readonly handles: Pick<HandleCalls, "revoke" | "transfer">;
  readonly flows: Pick<Flows, "settleTasks">;
}

function alreadyExists(taskId: string, processId: ProcessId): RefusedError {
  const message = "The session has a task of this id; wait for its end, or choose another id";
  return new RefusedError(refusalOf("TASK_ALREADY_EXISTS", message, { taskId, processId }));
}

function isOther(error: unknown): boolean {
  if (!(error instanceof RefusedError)) return false;
  const { reason } = error.refusal;
  return reason === "REGISTRATION_HASH_CONFLICT" || reason === "NO_LONGER_RETAINED";
}

function byBeginning(left: FoundTask, right: FoundTask): number {
  const [a, b] = [left.fold.state.createdAt, right.fold.state.createdAt];
  return a === b ? (left.processId < right.processId ? -1 : 1) : a - b;
}

function isLive({ fold }: FoundTask): boolean {
  return fold.state.end === null;
}

/** Whether a name in the target of a transfer is taken: handles keep theirs, also ended ones. */
function blocksName(task: FoundTask): boolean {
  return isLive(task) || task.fold.state.registration?.task?.visibility === "external";
}

/** Makes the calls. */
export function makeTaskCalls(options: TaskCallsOptions): TaskCalls {
  const { runtimes, grants, processes, handles, flows } = options;

  async function assertKnownSession({ namespace, sessionId }: TaskScope): Promise<void> {
    const { state } = await runtimes.fresh(streamName(runtimeAggregate.kind, namespace, sessionId));
    if (state.registration !== "registered") {
      throw new RefusedError({ ...notRegistered(state), metadata: { runtimeId: sessionId } });
    }
    if (state.phase !== "destroyed") return;
    throw new RefusedError(refusedByTable(state, "RUNTIME_DESTROYED"));
  }

  async function assertNotDeleted({ namespace, sessionId }: TaskScope): Promise<void> {
    const { state } = await grants.fresh(grantsStreamOf(namespace, sessionId));
    if (state.phase === "deleted") throw new RefusedError(sessionDeleted());
  }

  async function read(
    { namespace, sessionId }: TaskScope,
    found: readonly TaskHandle[],
  ): Promise<readonly FoundTask[]> {
    const folds = found.map(async (handle) => {
      const stream = processStreamOf(namespace, handle.processId);
      return { ...handle, sessionId, stream, fold: await processes.fresh(stream) };
    });
    return (await Promise.all(folds))
      .filter(({ fold: { state } }) => state.task !== null && state.prunedAt === null)
      .toSorted(byBeginning);
  }

  async function named(scope: TaskScope, taskId: string): Promise<readonly FoundTask[]> {
    const { state } = await grants.fresh(grantsStreamOf(scope.namespace, scope.sessionId));
    return await read(scope, taskHandlesNamed(state, taskId));
  }

  async function find(scope: TaskScope, taskId: string): Promise<FoundTask | undefined> {
    const tasks = await named(scope, taskId);
    return tasks.find(isLive) ?? tasks.at(-1);
  }

  function processOf({ namespace, sessionId }: TaskScope, taskId: string, ordinal: number) {
    const processId = taskProcessId(taskId, sessionId, ordinal);
    return { processId, stream: processStreamOf(namespace, processId) };
  }

  async function isUsed(scope: TaskScope, taskId: string, ordinal: number): Promise<boolean> {
    const { state } = await processes.fresh(processOf(scope, taskId, ordinal).stream);
    return state.registration !== null;
  }

  /** How many tasks the session began under a name; every ordinal up to it is used. */
  async function startedCount(scope: TaskScope, taskId: string): Promise<number> {
    let [used, free] = [0, 1];
    while (await isUsed(scope, taskId, free)) [used, free] = [free, free * 2];
    while (free - used > 1) {
      const middle = Math.floor((used + free) / 2);
      if (await isUsed(scope, taskId, middle)) used = middle;
      else free = middle;
    }
    return used;
  }

  /** Registers the nth task of a name; undefined when somebody else has that place. */
  async function register(start: TaskStart, ordinal: number): Promise<FoundTask | undefined> {
    const { scope, taskId, registerAs } = start;
    const { processId, stream } = processOf(scope, taskId, ordinal);
    try {
      const { reply } = await processes.submit(stream, registerAs(processId));
      if (reply.type !== "registered" || !reply.created) return undefined;
    } catch (error) {
      if (isOther(error)) return undefined;
      throw error;
    }
    await flows.settleTasks(stream);
    const { sessionId } = scope;
    return { taskId, processId, sessionId, stream, fold: await processes.fresh(stream) };
  }

  /** The task that this very call began before its answer was lost. */
  async function startedBefore(start: TaskStart, count: number): Promise<FoundTask | undefined> {
    const { scope, taskId, registerAs } = start;
    if (count === 0) return undefined;
    const { processId } = processOf(scope, taskId, count);
    if (registerAs(processId).requestId === undefined) return undefined;
    return await register(start, count);
  }

  /** The live task that has the name, also one whose grant is on its way. */
  async function liveHolder(
    scope: TaskScope,
    tasks: readonly FoundTask[],
    taskId: string,
    count: number,
  ): Promise<ProcessId | undefined> {
    const live = tasks.find(isLive);
    if (live !== undefined || count === 0) return live?.processId;
    const { processId, stream } = processOf(scope, taskId, count);
    const { state }: { readonly state: ProcessState } = await processes.fresh(stream);
    const isOnItsWay = state.task !== null && !state.holders.has(state.task.sessionId);
    return state.end === null && isOnItsWay ? processId : undefined;
  }

  async function forget(
    { namespace, sessionId }: TaskScope,
    processId: ProcessId,
    wrap: WrapRevoke = flowEnvelope,
  ): Promise<Forgotten> {
    const envelope = wrap({ type: "revoke_handle", frameId: "", processId });
    return await handles.revoke({ namespace, sessionId, envelope });
  }

  /** What moves and what it takes the place of; refuses where a name is taken in the target. */
  async function choose(from: TaskScope, to: TaskScope, taskIds: readonly string[]) {
    const processIds: ProcessId[] = [];
    const replaced: FoundTask[] = [];
    for (const taskId of taskIds) {
      const task = await find(from, taskId);
      if (task === undefined) continue;
      const present = (await named(to, taskId)).filter(
        ({ processId }) => processId !== task.processId,
      );
      const blocking = present.find(blocksName);
      if (blocking !== undefined) throw alreadyExists(taskId, blocking.processId);
      processIds.push(task.processId);
      replaced.push(...present);
    }
    return { processIds, replaced };
  }

  return {
    find,
    forget,
    // The name of no process: only an answer that is remembered says that there was a grant.
    wasForgotten: (scope, taskId, wrap) => {
      return forget(scope, taskProcessId(taskId, scope.sessionId, 0), wrap);
    },
    all: async (scope) => {
      const { state } = await grants.fresh(grantsStreamOf(scope.namespace, scope.sessionId));
      return await read(scope, taskHandlesOf(state));
    },
    start: async (start) => {
      const { scope, taskId } = start;
      await assertKnownSession(scope);
      const count = await startedCount(scope, taskId);
      const before = await startedBefore(start, count);
      if (before !== undefined) return before;
      await assertNotDeleted(scope);
      const tasks = await named(scope, taskId);
      const holder = await liveHolder(scope, tasks, taskId, count);
      if (holder !== undefined) throw alreadyExists(taskId, holder);
      const started = await register(start, count + 1);
      if (started === undefined) {
        throw alreadyExists(taskId, processOf(scope, taskId, count + 1).processId);
      }
      for (const { processId } of tasks) await forget(scope, processId);
      return started;
    },
    transfer: async ({ from, toSessionId, taskIds, wrap }) => {
      const to = { ...from, sessionId: toSessionId };
      await assertKnownSession(to);
      const { processIds, replaced } = await choose(from, to, taskIds);
      const begin = {
        type: "begin_transfer" as const,
        fromFrameId: "",
        toSessionId,
        toFrameId: "",
        processIds,
      };
      const source = grantsStreamOf(from.namespace, from.sessionId);
      const { revision } =
        processIds.length === 0
          ? await grants.fresh(source)
          : await handles.transfer({ ...from, envelope: wrap(begin) });
      const told = processIds.map(async (processId) => {
        const command = { type: "transfer_task" as const, processId, sessionId: toSessionId };
        await processes.submit(processStreamOf(from.namespace, processId), flowEnvelope(command));
      });
      await Promise.all(told);
      for (const { processId } of replaced) await forget(to, processId);
      const found = await Promise.all(taskIds.map((taskId) => find(to, taskId)));
      return { tasks: found.filter((task) => task !== undefined), revision };
    },
  };
}
