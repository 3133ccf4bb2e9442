/** `keelson task transition`, `complete`, `transfer` and `unregister`. */
import type { Value } from "@bufbuild/protobuf/wkt";
import { type Command, Option } from "commander";
import { TaskState } from "../../../gen/keelson/task/v1/messages_pb.ts";
import {
  CompleteTaskResponseSchema,
  TransferHandlesResponseSchema,
  TransitionTaskResponseSchema,
  UnregisterTaskResponseSchema,
} from "../../../gen/keelson/task/v1/service_pb.ts";
import {
  bigCountOption,
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  usageError,
} from "../client/client-command.ts";
import { printable } from "../client/format.ts";
import { jsonOption } from "../client/value-options.ts";
import { outputOf } from "../process/complete.ts";
import { TASK_COLUMNS, taskFacts } from "./task-view.ts";

/** What the options of `complete` say. */
interface CompleteFlags extends ClientFlags {
  readonly value?: Value;
  readonly failed?: string;
  readonly cancelled?: boolean;
  readonly message?: string;
  readonly leaseToken?: string;
  readonly generation?: bigint;
}

const REPORTS = { running: TaskState.RUNNING, waiting: TaskState.WAITING } as const;

function isReport(word: string): word is keyof typeof REPORTS {
  return Object.hasOwn(REPORTS, word);
}

function leaseOf({ leaseToken, generation }: CompleteFlags) {
  if (leaseToken !== undefined && generation !== undefined) {
    return { lease: { leaseToken, generation } };
  }
  if (leaseToken === undefined && generation === undefined) return {};
  throw usageError("A hold is proved by --lease-token and --generation together.");
}

/** Makes `transition`. */
export function makeTransitionCommand(): Command {
  return makeClientCommand("transition", "say how a live task stands")
    .argument("<session>", "the session that looks after it")
    .argument("<task>", "id of the task")
    .argument("<state>", "running or waiting")
    .addHelpText("after", examples(["keelson task transition chat-1 research running", "it runs"]))
    .action(async (sessionId: string, taskId: string, word: string, flags: ClientFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        if (!isReport(word)) throw usageError("The state must be running or waiting.");
        const request = { sessionId, taskId, state: REPORTS[word] };
        const response = await connection.tasks.transitionTask(request);
        if (output.isJson) output.json(TransitionTaskResponseSchema, response);
        else if (response.task !== undefined) output.facts(taskFacts(response.task));
        else output.note("the session knows no such task");
        return undefined;
      });
    });
}

/** Makes `complete`. */
export function makeTaskCompleteCommand(): Command {
  return makeClientCommand("complete", "end a task")
    .argument("<session>", "the session that looks after it")
    .argument("<task>", "id of the task")
    .option("--value <json>", "its result", jsonOption)
    .addOption(new Option("--failed <code>", "it failed, with this code").conflicts("value"))
    .addOption(new Option("--cancelled", "it was cancelled").conflicts(["value", "failed"]))
    .option("--message <text>", "for people, when it failed or was cancelled")
    .option("--lease-token <token>", "proof of a worker's hold")
    .option("--generation <number>", "generation of the hold", bigCountOption)
    .addHelpText(
      "after",
      examples(
        [`keelson task complete chat-1 build-7 --value '{"ok":true}'`, "done"],
        ["keelson task complete chat-1 build-7 --failed timeout", "or not"],
      ),
    )
    .action(async (sessionId: string, taskId: string, flags: CompleteFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const request = { sessionId, taskId, output: outputOf(flags), ...leaseOf(flags) };
        const response = await connection.tasks.completeTask(request);
        if (output.isJson) output.json(CompleteTaskResponseSchema, response);
        else if (response.task !== undefined) output.facts(taskFacts(response.task));
        if (output.isJson || response.changed) return undefined;
        const isKnown = response.task !== undefined;
        output.note(isKnown ? "it had ended before" : "the session knows no such task");
        return undefined;
      });
    });
}

/** Makes `transfer`. */
export function makeTaskTransferCommand(): Command {
  return makeClientCommand("transfer", "hand tasks over to another session, all or none")
    .argument("<from>", "the session that has them")
    .argument("<to>", "the session that gets them")
    .argument("<tasks...>", "ids of the tasks")
    .addHelpText(
      "after",
      examples(["keelson task transfer chat-1 chat-2 research build-7", "two tasks"]),
    )
    .action(
      async (fromSessionId: string, toSessionId: string, taskIds: string[], flags: ClientFlags) => {
        await runClient(flags, async ({ connection, output }) => {
          const request = { fromSessionId, toSessionId, taskIds };
          const response = await connection.tasks.transferHandles(request);
          if (output.isJson) output.json(TransferHandlesResponseSchema, response);
          else output.table(TASK_COLUMNS, response.tasks, "none of them is known");
          return undefined;
        });
      },
    );
}

/** Makes `unregister`. */
export function makeUnregisterCommand(): Command {
  return makeClientCommand("unregister", "have a session know a task no longer")
    .argument("<session>", "the session that looks after it")
    .argument("<task>", "id of the task: an external one, or one that ended")
    .addHelpText("after", examples(["keelson task unregister chat-1 build-7", "forget it"]))
    .action(async (sessionId: string, taskId: string, flags: ClientFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.tasks.unregisterTask({ sessionId, taskId });
        const { unregistered } = response;
        if (output.isJson) output.json(UnregisterTaskResponseSchema, response);
        else output.line(unregistered ? `unregistered ${printable(taskId)}` : "it was not there");
        return undefined;
      });
    });
}
