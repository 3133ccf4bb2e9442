/** Hands tasks over from one session to another: what is named, or what its close policy says. */
import type { GrantsCommand } from "../core/grants/commands.ts";
import type { ProcessId, Revision, SessionId } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { CommandEnvelope } from "../engine/stream-entry.ts";
import { flowEnvelope, grantsStreamOf, type GrantsStreams } from "./flow-streams.ts";
import type { HandleCalls } from "./handle-calls.ts";
import { keepsNameForGood } from "./sole-names.ts";
import { type FoundTask, taskPrefixOf, type TaskScope } from "./task-handles.ts";

type BeginCommand = Extract<GrantsCommand, { readonly type: "begin_transfer" }>;

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
export interface TaskTransfers {
  /**
   * What goes to the session that follows one that is about to close: live tasks with that close
   * policy. Refuses as `transfer`.
   */
  readonly handOn: (from: TaskScope, toSessionId: SessionId) => Promise<void>;
  /** All that are there, or none. Refuses TASK_ALREADY_EXISTS, HANDLE_IN_TRANSFER. */
  readonly transfer: (transfer: TaskTransfer) => Promise<TransferredTasks>;
}

/** What the calls work with. */
export interface TaskTransfersOptions {
  readonly grants: Pick<GrantsStreams, "fresh">;
  readonly handles: Pick<HandleCalls, "transfer">;
  readonly assertKnownSession: (scope: TaskScope) => Promise<void>;
  readonly find: (scope: TaskScope, taskId: string) => Promise<FoundTask | undefined>;
  /** The tasks of a session that have or had a name. */
  readonly named: (scope: TaskScope, taskId: string) => Promise<readonly FoundTask[]>;
  readonly all: (scope: TaskScope) => Promise<readonly FoundTask[]>;
  readonly forget: (scope: TaskScope, processId: ProcessId) => Promise<unknown>;
}

/** Tasks that are handed on in one go. */
const TASKS_PER_TRANSFER = 1000;

/** The session has a task of the id. */
export function alreadyExists(taskId: string, processId: ProcessId): RefusedError {
  const message = "The session has a task of this id; wait for its end, or choose another id";
  return new RefusedError(refusalOf("TASK_ALREADY_EXISTS", message, { taskId, processId }));
}

/** Whether a task has not ended. */
export function isLive({ fold }: FoundTask): boolean {
  return fold.state.end === null;
}

/** Makes the calls. */
export function makeTaskTransfers(options: TaskTransfersOptions): TaskTransfers {
  const { grants, handles, assertKnownSession, find, named, all, forget } = options;

  /** What moves and what it takes the place of; refuses where a name is taken in the target. */
  async function choose(from: TaskScope, to: TaskScope, taskIds: readonly string[]) {
    const processIds: ProcessId[] = [];
    const solePrefixes: string[] = [];
    const replaced: FoundTask[] = [];
    for (const taskId of taskIds) {
      const task = await find(from, taskId);
      if (task === undefined) continue;
      const present = (await named(to, taskId)).filter(
        ({ processId }) => processId !== task.processId,
      );
      const blocking = present.find(({ fold }) => keepsNameForGood(fold.state));
      if (blocking !== undefined) throw alreadyExists(taskId, blocking.processId);
      processIds.push(task.processId);
      solePrefixes.push(taskPrefixOf(taskId));
      replaced.push(...present);
    }
    return { processIds, solePrefixes, replaced };
  }

  async function transfer({
    from,
    toSessionId,
    taskIds,
    wrap,
  }: TaskTransfer): Promise<TransferredTasks> {
    const to = { ...from, sessionId: toSessionId };
    await assertKnownSession(to);
    const { processIds, solePrefixes, replaced } = await choose(from, to, taskIds);
    const begin = {
      type: "begin_transfer" as const,
      fromFrameId: "",
      toSessionId,
      toFrameId: "",
      processIds,
      solePrefixes,
    };
    const source = grantsStreamOf(from.namespace, from.sessionId);
    const { revision } =
      processIds.length === 0
        ? await grants.fresh(source)
        : await handles.transfer({ ...from, envelope: wrap(begin) });
    for (const { processId } of replaced) await forget(to, processId);
    const found = await Promise.all(taskIds.map((taskId) => find(to, taskId)));
    return { tasks: found.filter((task) => task !== undefined), revision };
  }

  return {
    transfer,
    handOn: async (from, toSessionId) => {
      const tasks = (await all(from)).filter(
        (task) => isLive(task) && task.fold.state.registration?.task?.closePolicy === "transfer",
      );
      for (let start = 0; start < tasks.length; start += TASKS_PER_TRANSFER) {
        const some = tasks.slice(start, start + TASKS_PER_TRANSFER);
        const taskIds = some.map(({ taskId }) => taskId);
        await transfer({ from, toSessionId, taskIds, wrap: flowEnvelope });
      }
    },
  };
}
