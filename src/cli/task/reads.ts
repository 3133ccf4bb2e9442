/** `keelson task ls`, `get` and `await`. */
import { type Command, Option } from "commander";
import { AwaitProcessResponseSchema } from "../../../gen/keelson/process/v1/service_pb.ts";
import { ProcessState } from "../../../gen/keelson/process/v1/messages_pb.ts";
import { TaskKind, TaskState } from "../../../gen/keelson/task/v1/messages_pb.ts";
import {
  AwaitHiddenResponseSchema,
  GetTaskResponseSchema,
  ListTasksResponseSchema,
} from "../../../gen/keelson/task/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  type Workplace,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES, type ClientExitCode } from "../client/exit-codes.ts";
import { enumWords, printable } from "../client/format.ts";
import { waitLong } from "../client/long-wait.ts";
import { noteMore, type PageFlags, readPages, withPages } from "../client/pages.ts";
import { enumsOption } from "../client/value-options.ts";
import { outputTexts } from "../process/process-view.ts";
import { TASK_COLUMNS, taskFacts } from "./task-view.ts";

/** What the options of `ls` say. */
interface ListFlags extends ClientFlags, PageFlags {
  readonly state?: readonly TaskState[];
  readonly kind?: readonly TaskKind[];
}

/** Makes `ls`. */
export function makeTaskListCommand(): Command {
  const states = enumWords(TaskState).join(", ");
  const kinds = enumWords(TaskKind).join(", ");
  return withPages(makeClientCommand("ls", "list the tasks of a session"))
    .alias("list")
    .argument("<session>", "the session that looks after them")
    .addOption(
      new Option("--state <words>", `only in these states: ${states}`).argParser(
        enumsOption(TaskState),
      ),
    )
    .addOption(
      new Option("--kind <words>", `only of these kinds: ${kinds}`).argParser(
        enumsOption(TaskKind),
      ),
    )
    .addHelpText(
      "after",
      examples(
        ["keelson task ls chat-1", "all but hidden ones, by their beginning"],
        ["keelson task ls chat-1 --state running,waiting -o json", "live ones, for scripts"],
      ),
    )
    .action(async (sessionId: string, flags: ListFlags) => {
      const filter = { states: [...(flags.state ?? [])], kinds: [...(flags.kind ?? [])] };
      await runClient(flags, async ({ connection, output }) => {
        const response = await readPages(
          flags,
          (page) => connection.tasks.listTasks({ sessionId, filter, ...page }),
          ({ tasks }) => tasks,
        );
        if (output.isJson) output.json(ListTasksResponseSchema, response);
        else output.table(TASK_COLUMNS, response.tasks, "no tasks");
        noteMore(output, response);
        return undefined;
      });
    });
}

/** Makes `get`. */
export function makeTaskGetCommand(): Command {
  return makeClientCommand("get", "show a task")
    .argument("<session>", "the session that looks after it")
    .argument("<task>", "id of the task, hidden ones too")
    .addHelpText("after", examples(["keelson task get chat-1 research", "one task"]))
    .action(async (sessionId: string, taskId: string, flags: ClientFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.tasks.getTask({ sessionId, taskId });
        if (output.isJson) output.json(GetTaskResponseSchema, response);
        else if (response.task !== undefined) output.facts(taskFacts(response.task));
        return undefined;
      });
    });
}

async function awaitTask(
  { connection, output }: Workplace,
  sessionId: string,
  taskId: string,
  patienceMs: number | undefined,
): Promise<ClientExitCode | undefined> {
  const { task } = await connection.tasks.getTask({ sessionId, taskId });
  const processId = task?.processId ?? "";
  const response = await waitLong({
    call: (timeout, options) => connection.processes.awaitProcess({ processId, timeout }, options),
    isOver: ({ outcome }) => outcome.case === "ended",
    patienceMs,
  });
  const end = response.outcome.case === "ended" ? response.outcome.value : undefined;
  const texts = end?.output && outputTexts(end.output);
  if (output.isJson) output.json(AwaitProcessResponseSchema, response);
  else {
    output.note(`${printable(taskId)}: ${texts?.summary ?? "not over yet"}`);
    if (texts?.value !== undefined) output.line(texts.value);
  }
  if (end === undefined) return CLIENT_EXIT_CODES.notOver;
  return end.state === ProcessState.COMPLETED ? undefined : CLIENT_EXIT_CODES.failed;
}

async function awaitHidden(
  { connection, output }: Workplace,
  sessionId: string,
  patienceMs: number | undefined,
): Promise<ClientExitCode | undefined> {
  const response = await waitLong({
    call: (timeout, options) => connection.tasks.awaitHidden({ sessionId, timeout }, options),
    isOver: ({ drained }) => drained,
    patienceMs,
  });
  const { drained, liveCount, firstFailure } = response;
  if (output.isJson) output.json(AwaitHiddenResponseSchema, response);
  else {
    output.note(drained ? "no hidden task is live" : `hidden tasks that are live: ${liveCount}`);
    if (firstFailure !== undefined) output.facts(taskFacts(firstFailure));
  }
  if (!drained) return CLIENT_EXIT_CODES.notOver;
  return firstFailure === undefined ? undefined : CLIENT_EXIT_CODES.failed;
}

/** Makes `await`. */
export function makeTaskAwaitCommand(): Command {
  return makeClientCommand("await", "wait for the end of a task, or of all hidden ones")
    .argument("<session>", "the session that looks after it")
    .argument("[task]", "id of the task; all hidden ones when it is left out")
    .addHelpText(
      "after",
      `
Without --timeout it waits for ever, also while the server is away. Ends with 0 when all went well,
1 when a task ended otherwise, 8 when the time was up.
${examples(
  ["keelson task await chat-1 research --timeout 5m", "one task, at most five minutes"],
  ["keelson task await chat-1", "all hidden ones"],
)}`,
    )
    .action(async (sessionId: string, taskId: string | undefined, flags: ClientFlags) => {
      await runClient(flags, async (workplace) => {
        return taskId === undefined
          ? await awaitHidden(workplace, sessionId, flags.timeout)
          : await awaitTask(workplace, sessionId, taskId, flags.timeout);
      });
    });
}
