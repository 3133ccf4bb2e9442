/**
 * What a session does with its background tasks where more than one stream has a part in it: tasks
 * are begun under a name that no live task of the session has, found by it, forgotten, and moved to
 * another session.
 */
import type { GrantsCommand } from "../core/grants/commands.ts";
import { GRANTS_MAX } from "../core/grants/decide.ts";
import { sessionDeleted, tooManyGrants } from "../core/grants/refusals.ts";
import type { ProcessCommand } from "../core/process/commands.ts";
import type { ProcessState } from "../core/process/state.ts";
import { notRegistered, refusedByTable } from "../core/runtime/refusals.ts";
import { runtimeAggregate } from "../core/runtime/aggregate.ts";
import type { ProcessId, Revision, SessionId } from "../core/shared/ids.ts";
import { RefusedError } from "../core/shared/refusal.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import type { CommandEnvelope } from "../engine/stream-entry.ts";
import { streamName } from "../engine/stream-name.ts";
import {
  flowEnvelope,
  grantsStreamOf,
  type GrantsStreams,
  isRefusedFor,
  processStreamOf,
} from "./flow-streams.ts";
import type { Flows } from "./flows.ts";
import type { HandleCalls } from "./handle-calls.ts";
import {
  type FoundTask,
  type TaskHandle,
  taskHandlesNamed,
  taskHandlesOf,
  taskProcessId,
  type TaskScope,
} from "./task-handles.ts";
import { alreadyExists, isLive, makeTaskTransfers, type TaskTransfers } from "./task-transfers.ts";

type RegisterCommand = Extract<ProcessCommand, { readonly type: "register_process" }>;

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

/** The calls. */
export interface TaskCalls extends TaskTransfers {
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
}

/** What the calls work with. */
export interface TaskCallsOptions {
  readonly runtimes: Pick<RuntimeStreams, "fresh">;
  readonly grants: Pick<GrantsStreams, "fresh">;
  readonly processes: Pick<ProcessStreams, "fresh" | "submit">;
  readonly handles: Pick<HandleCalls, "revoke" | "transfer">;
  readonly flows: Pick<Flows, "settleTasks">;
}

function isOther(error: unknown): boolean {
  return isRefusedFor(error, ["REGISTRATION_HASH_CONFLICT", "NO_LONGER_RETAINED"]);
}

function byBeginning(left: FoundTask, right: FoundTask): number {
  const [a, b] = [left.fold.state.createdAt, right.fold.state.createdAt];
  return a === b ? (left.processId < right.processId ? -1 : 1) : a - b;
}

/** Whether the session that began a task was never granted it, and never will be. */
function wasGivenUp({ holders }: ProcessState, sessionId: SessionId): boolean {
  return holders.get(sessionId)?.mark === 0;
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

  async function all(scope: TaskScope): Promise<readonly FoundTask[]> {
    const { state } = await grants.fresh(grantsStreamOf(scope.namespace, scope.sessionId));
    return await read(scope, taskHandlesOf(state));
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
    const fold = await processes.fresh(stream);
    if (wasGivenUp(fold.state, sessionId)) throw await whyGivenUp(scope, taskId, processId);
    return { taskId, processId, sessionId, stream, fold };
  }

  /** Why the session could not be granted a task that had begun already. */
  async function whyGivenUp(
    { namespace, sessionId }: TaskScope,
    taskId: string,
    processId: ProcessId,
  ): Promise<RefusedError> {
    const { state } = await grants.fresh(grantsStreamOf(namespace, sessionId));
    if (state.phase === "deleted") return new RefusedError(sessionDeleted());
    const isFull = state.grants.size >= GRANTS_MAX;
    return isFull ? new RefusedError(tooManyGrants(GRANTS_MAX)) : alreadyExists(taskId, processId);
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

  return {
    find,
    forget,
    // The name of no process: only an answer that is remembered says that there was a grant.
    wasForgotten: (scope, taskId, wrap) => {
      return forget(scope, taskProcessId(taskId, scope.sessionId, 0), wrap);
    },
    all,
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
    ...makeTaskTransfers({ ...options, assertKnownSession, find, named, all, forget }),
  };
}
