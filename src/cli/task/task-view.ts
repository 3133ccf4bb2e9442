/** Background tasks as people read them. */
import {
  type BackgroundTask,
  TaskCancelPolicy,
  TaskClosePolicy,
  TaskKind,
  TaskState,
  TaskVisibility,
} from "../../../gen/keelson/task/v1/messages_pb.ts";
import { enumWord, formatAge, formatTime, formatTimeAndAge, printable } from "../client/format.ts";
import type { Cell, Colour, Column } from "../client/table.ts";
import { outputTexts } from "../process/process-view.ts";

type Fact = readonly [string, Cell | undefined];

const STATE_COLOURS: Readonly<Partial<Record<TaskState, Colour>>> = {
  [TaskState.RUNNING]: "green",
  [TaskState.CANCEL_REQUESTED]: "yellow",
  [TaskState.CANCELLED]: "yellow",
  [TaskState.FAILED]: "red",
};

function stateCell(state: TaskState): Cell {
  const text = enumWord(TaskState, state);
  const colour = STATE_COLOURS[state];
  return colour === undefined ? text : { text, colour };
}

/** The columns of a list of tasks. */
export const TASK_COLUMNS: readonly Column<BackgroundTask>[] = [
  { title: "TASK", cell: ({ taskId }) => printable(taskId) },
  { title: "STATE", cell: ({ state }) => stateCell(state) },
  { title: "KIND", cell: ({ kind }) => enumWord(TaskKind, kind) },
  { title: "VISIBILITY", cell: ({ visibility }) => enumWord(TaskVisibility, visibility) },
  { title: "PRODUCER", cell: ({ producer }) => printable(producer) },
  { title: "ENDS BY", cell: ({ abortAt }) => (abortAt ? formatTime(abortAt) : "-") },
  { title: "AGE", align: "right", cell: ({ createdAt }) => formatAge(createdAt) },
];

function optional(text: string): Cell | undefined {
  return text === "" ? undefined : printable(text);
}

function attemptText({ attempt }: BackgroundTask): string {
  const { attempt: number = 1, attemptsMax } = attempt ?? {};
  return attemptsMax === undefined ? String(number) : `${number} of ${attemptsMax}`;
}

function endFacts({ completedAt, output, cancelRequest, abortAt }: BackgroundTask) {
  const wish = cancelRequest && `${formatTimeAndAge(cancelRequest.requestedAt)}`;
  const texts = output && outputTexts(output);
  const facts: readonly Fact[] = [
    ["cancel wished", wish && printable(`${wish} ${cancelRequest.reason}`.trimEnd())],
    ["aborted by", abortAt && formatTime(abortAt)],
    ["ended", completedAt && formatTimeAndAge(completedAt)],
    ["outcome", texts?.summary],
    ["value", texts?.value],
  ];
  return facts;
}

/** All there is to know about a task. */
export function taskFacts(task: BackgroundTask): readonly Fact[] {
  return [
    ["task", printable(task.taskId)],
    ["session", printable(task.sessionId)],
    ["process", printable(task.processId)],
    ["state", stateCell(task.state)],
    ["kind", enumWord(TaskKind, task.kind)],
    ["visibility", enumWord(TaskVisibility, task.visibility)],
    ["run by", task.runByWorker ? "a worker" : "its session"],
    ["producer", printable(task.producer)],
    ["parent task", optional(task.parentTaskId)],
    ["child session", optional(task.childSessionId)],
    ["on cancel", enumWord(TaskCancelPolicy, task.cancelPolicy)],
    ["on close", enumWord(TaskClosePolicy, task.closePolicy)],
    ["attempt", attemptText(task)],
    ["began", formatTimeAndAge(task.createdAt)],
    ["changed", formatTimeAndAge(task.updatedAt)],
    ...endFacts(task),
  ];
}
