/** `keelson task spawn` and `keelson task register`: begin a task. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { type Command, Option } from "commander";
import {
  TaskCancelPolicy,
  TaskClosePolicy,
  type TaskDescriptionSchema,
  TaskKind,
  TaskVisibility,
} from "../../../gen/keelson/task/v1/messages_pb.ts";
import {
  RegisterTaskResponseSchema,
  type SpawnTaskRequestSchema,
  SpawnTaskResponseSchema,
} from "../../../gen/keelson/task/v1/service_pb.ts";
import { ProcessDisposition } from "../../../gen/keelson/process/v1/messages_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { enumWords } from "../client/format.ts";
import { enumOption, jsonOption, labelOption } from "../client/value-options.ts";
import { taskFacts } from "./task-view.ts";

/** What the options of both commands say. */
interface BeginFlags extends ClientFlags {
  readonly kind?: TaskKind;
  readonly producer?: string;
  readonly payload?: Value;
  readonly parent?: string;
  readonly child?: string;
  readonly onCancel?: TaskCancelPolicy;
  readonly onClose?: TaskClosePolicy;
  readonly label?: Readonly<Record<string, string>>;
}

/** What the options of `spawn` say. */
interface SpawnFlags extends BeginFlags {
  readonly hidden?: boolean;
  readonly worker?: string;
  readonly env?: string;
}

type Runner = NonNullable<MessageInitShape<typeof SpawnTaskRequestSchema>["runner"]>;

function descriptionOf(
  taskId: string,
  flags: BeginFlags,
): MessageInitShape<typeof TaskDescriptionSchema> {
  const { onCancel, onClose } = flags;
  return {
    taskId,
    kind: flags.kind ?? TaskKind.OTHER,
    producer: flags.producer ?? "cli",
    parentTaskId: flags.parent ?? "",
    childSessionId: flags.child ?? "",
    ...(onCancel === undefined ? {} : { cancelPolicy: onCancel }),
    ...(onClose === undefined ? {} : { closePolicy: onClose }),
    labels: { ...flags.label },
  };
}

function runnerOf({ worker, payload, env = "default" }: SpawnFlags): Runner {
  if (worker === undefined) {
    return { case: "session", value: payload === undefined ? {} : { metadata: payload } };
  }
  const engine = { kind: worker, ...(payload === undefined ? {} : { payload }) };
  const registration = {
    input: { kind: { case: "engine", value: engine } },
    disposition: ProcessDisposition.RERUNNABLE,
    envRef: env,
  } as const;
  return { case: "worker", value: { registration } };
}

/** The command with the options that both have. */
function withDescription(command: Command): Command {
  const words = {
    kind: enumWords(TaskKind).join(", "),
    cancel: enumWords(TaskCancelPolicy).join(", "),
    close: enumWords(TaskClosePolicy).join(", "),
  };
  return command
    .argument("<session>", "the session that looks after it")
    .argument("[task]", "id of the task; the server makes one when it is left out")
    .addOption(
      new Option("--kind <word>", `other, or another of ${words.kind}`).argParser(
        enumOption(TaskKind),
      ),
    )
    .option("--producer <name>", "who in the session started it (cli)")
    .option("--payload <json>", "what it works on", jsonOption)
    .option("--parent <task>", "the task that started it")
    .option("--child <session>", "the session that it runs in")
    .addOption(
      new Option("--on-cancel <word>", `cooperative, or another of ${words.cancel}`).argParser(
        enumOption(TaskCancelPolicy),
      ),
    )
    .addOption(
      new Option("--on-close <word>", `cancel, or another of ${words.close}`).argParser(
        enumOption(TaskClosePolicy),
      ),
    )
    .option("--label <name=value>", "label; again for more", labelOption);
}

/** Makes `spawn`. */
export function makeSpawnCommand(): Command {
  const command = makeClientCommand("spawn", "begin a task that is run for the session");
  return withDescription(command)
    .option("--hidden", "not listed; keelson task await waits for it")
    .option("--worker <kind>", "workers that claim this kind run it, not the session itself")
    .option("--env <name>", "environment that the worker needs (default)")
    .addHelpText(
      "after",
      examples(
        ["keelson task spawn chat-1 research --kind subagent", "run by the session's executor"],
        ["keelson task spawn chat-1 index --worker indexer", "run by a worker of the registry"],
        ["keelson task spawn chat-1 compaction --hidden", "unlisted"],
      ),
    )
    .action(async (sessionId: string, taskId: string | undefined, flags: SpawnFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.tasks.spawnTask({
          sessionId,
          task: descriptionOf(taskId ?? "", flags),
          visibility: flags.hidden === true ? TaskVisibility.HIDDEN : TaskVisibility.MANAGED,
          runner: runnerOf(flags),
        });
        if (output.isJson) output.json(SpawnTaskResponseSchema, response);
        else if (response.task !== undefined) output.facts(taskFacts(response.task));
        return undefined;
      });
    });
}

/** Makes `register`. */
export function makeTaskRegisterCommand(): Command {
  const command = makeClientCommand("register", "record a task that is done elsewhere");
  return withDescription(command)
    .addHelpText(
      "after",
      examples(
        ["keelson task register chat-1 build-7 --on-cancel external", "a handle of a tool"],
        [`keelson task register chat-1 build-7 --payload '{"url":"..."}'`, "with what is known"],
      ),
    )
    .action(async (sessionId: string, taskId: string | undefined, flags: BeginFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const { payload } = flags;
        const response = await connection.tasks.registerTask({
          sessionId,
          task: descriptionOf(taskId ?? "", flags),
          runner: payload === undefined ? {} : { metadata: payload },
        });
        if (output.isJson) output.json(RegisterTaskResponseSchema, response);
        else if (response.task !== undefined) output.facts(taskFacts(response.task));
        return undefined;
      });
    });
}
