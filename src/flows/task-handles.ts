/**
 * How a session knows its tasks: the grant of a task says by its descriptor that the process is a
 * task and what the session calls it. Names of processes of tasks begin with what they are called,
 * so that the grants of one name lie together.
 */
import { createHash } from "node:crypto";
import { shownGrantsOf } from "../core/grants/shown-grants.ts";
import type { GrantsState, HandleDescriptor } from "../core/grants/state.ts";
import {
  type Namespace,
  type ProcessId,
  processIdOf,
  type SessionId,
  type StreamName,
} from "../core/shared/ids.ts";
import type { ProcessFold } from "../dispatch/process-streams.ts";

/** Kind of the descriptor of a task. */
const TASK_HANDLE_KIND = "task";
/** What the name of the process of a task begins with. */
const TASK_PREFIX = "task:";
const DIGEST_LENGTH = 32;

/** A task as the grants of its session tell of it. */
export interface TaskHandle {
  readonly taskId: string;
  readonly processId: ProcessId;
}

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

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, DIGEST_LENGTH);
}

/** What the names of the processes of all tasks of one name begin with. */
export function taskPrefixOf(taskId: string): string {
  return `${TASK_PREFIX}${digestOf(taskId)}:`;
}

/** The process of the nth task that a session began under a name, from 1. */
export function taskProcessId(taskId: string, sessionId: SessionId, ordinal: number): ProcessId {
  return processIdOf(`${taskPrefixOf(taskId)}${digestOf(sessionId)}:${ordinal}`);
}

/** What the session calls the process. */
export function taskDescriptor(taskId: string): HandleDescriptor {
  return { kind: TASK_HANDLE_KIND, label: taskId };
}

function handlesBehind(state: GrantsState, prefix: string): readonly TaskHandle[] {
  const handles: TaskHandle[] = [];
  const first = processIdOf(prefix);
  for (const grant of shownGrantsOf(state, "", Infinity, first)) {
    const { processId, descriptor } = grant;
    if (!processId.startsWith(prefix)) break;
    const { kind, label } = descriptor;
    if (kind !== TASK_HANDLE_KIND || label === undefined) continue;
    handles.push({ taskId: label, processId });
  }
  return handles;
}

/** Every task of the session, hidden and ended ones too. */
export function taskHandlesOf(state: GrantsState): readonly TaskHandle[] {
  return handlesBehind(state, TASK_PREFIX);
}

/** The tasks of the session that have or had this name. */
export function taskHandlesNamed(state: GrantsState, taskId: string): readonly TaskHandle[] {
  return handlesBehind(state, taskPrefixOf(taskId)).filter((handle) => handle.taskId === taskId);
}
