/** `keelson task cancel` and `keelson task cancel-all`: ask first, end after the grace. */
import type { Command } from "commander";
import { TaskState } from "../../../gen/keelson/task/v1/messages_pb.ts";
import {
  CancelAllTasksResponseSchema,
  CancelTaskResponseSchema,
  CancelUnreferencedResponseSchema,
} from "../../../gen/keelson/task/v1/service_pb.ts";
import { durationToProto } from "../../rpc/codec/time.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  spanOption,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES } from "../client/exit-codes.ts";
import { waitLong } from "../client/long-wait.ts";
import { TASK_COLUMNS, taskFacts } from "./task-view.ts";

/** What the options of both commands say. */
interface CancelFlags extends ClientFlags {
  readonly reason?: string;
  readonly grace?: number;
}

/** What the options of `cancel` say. */
interface CancelOneFlags extends CancelFlags {
  readonly wait?: boolean;
}

/** What the options of `cancel-all` say. */
interface CancelAllFlags extends CancelFlags {
  readonly keep?: readonly string[];
}

const LIVE: readonly TaskState[] = [
  TaskState.PENDING,
  TaskState.RUNNING,
  TaskState.WAITING,
  TaskState.CANCEL_REQUESTED,
];

function termsOf({ reason = "", grace }: CancelFlags) {
  return { reason, ...(grace === undefined ? {} : { grace: durationToProto(grace) }) };
}

function withTerms(command: Command): Command {
  return command
    .option("--reason <text>", "why, for people and whoever runs it")
    .option(
      "--grace <span>",
      "how long whoever runs it has before it is aborted (10s)",
      spanOption,
    );
}

/** Makes `cancel`. */
export function makeTaskCancelCommand(): Command {
  return withTerms(makeClientCommand("cancel", "ask for a task to be cancelled"))
    .argument("<session>", "the session that looks after it")
    .argument("<task>", "id of the task")
    .option("--wait", "wait for the end")
    .addHelpText(
      "after",
      `
Whoever runs the task is asked to end it; after the grace the server ends it, unless its policy is
external. With --wait it ends with 8 when the time was up.
${examples(
  ["keelson task cancel chat-1 research --reason 'answered already'", "asked, not awaited"],
  ["keelson task cancel chat-1 research --grace 0s --wait", "at once"],
)}`,
    )
    .action(async (sessionId: string, taskId: string, flags: CancelOneFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const request = { sessionId, taskId, ...termsOf(flags) };
        const isOver = (state: TaskState = TaskState.UNSPECIFIED): boolean => !LIVE.includes(state);
        const response =
          flags.wait === true
            ? await waitLong({
                call: (timeout, options) =>
                  connection.tasks.cancelTask({ ...request, wait: true, timeout }, options),
                isOver: ({ task }) => isOver(task?.state),
                patienceMs: flags.timeout,
              })
            : await connection.tasks.cancelTask(request);
        if (output.isJson) output.json(CancelTaskResponseSchema, response);
        else if (response.task !== undefined) output.facts(taskFacts(response.task));
        const isLeft = flags.wait === true && !isOver(response.task?.state);
        return isLeft ? CLIENT_EXIT_CODES.notOver : undefined;
      });
    });
}

/** Makes `cancel-all`. */
export function makeTaskCancelAllCommand(): Command {
  const collect = (text: string, before: readonly string[] | undefined): readonly string[] => [
    ...(before ?? []),
    text,
  ];
  return withTerms(makeClientCommand("cancel-all", "ask for all live tasks to be cancelled"))
    .argument("<session>", "the session that looks after them")
    .option("--keep <task>", "leave this one alone; again for more", collect)
    .addHelpText(
      "after",
      examples(
        ["keelson task cancel-all chat-1", "everything that is listed"],
        ["keelson task cancel-all chat-1 --keep build-7", "but for one"],
      ),
    )
    .action(async (sessionId: string, flags: CancelAllFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const { keep } = flags;
        const request = { sessionId, ...termsOf(flags) };
        if (keep === undefined) {
          const response = await connection.tasks.cancelAllTasks(request);
          if (output.isJson) output.json(CancelAllTasksResponseSchema, response);
          else output.table(TASK_COLUMNS, response.tasks, "no live tasks");
          return undefined;
        }
        const kept = { ...request, keepTaskIds: [...keep] };
        const response = await connection.tasks.cancelUnreferenced(kept);
        if (output.isJson) output.json(CancelUnreferencedResponseSchema, response);
        else output.table(TASK_COLUMNS, response.tasks, "no live tasks but those kept");
        return undefined;
      });
    });
}
