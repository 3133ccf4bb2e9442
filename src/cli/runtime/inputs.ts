/** `keelson runtime inputs`: the inputs of a runtime, or one of them with its history. */
import { type Command, Option } from "commander";
import { InputKind, InputState } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  GetInputResponseSchema,
  ListInputsResponseSchema,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  type Workplace,
} from "../client/client-command.ts";
import { enumWords } from "../client/format.ts";
import { noteMore, type PageFlags, readPages, withPages } from "../client/pages.ts";
import { enumsOption } from "../client/value-options.ts";
import { targetOf } from "./await.ts";
import { tellCompletion } from "./completion-view.ts";
import { HISTORY_COLUMNS, INPUT_COLUMNS, inputFacts } from "./input-view.ts";

/** What the options say. */
interface InputFlags extends ClientFlags, PageFlags {
  readonly state?: readonly InputState[];
  readonly kind?: readonly InputKind[];
  readonly active?: boolean;
  readonly key?: string;
  readonly payload?: boolean;
}

async function showOne(
  { connection, output }: Workplace,
  runtimeId: string,
  inputId: string | undefined,
  flags: InputFlags,
): Promise<void> {
  const target = targetOf(inputId, flags.key);
  const includePayload = flags.payload ?? false;
  const response = await connection.runtimes.getInput({ runtimeId, target, includePayload });
  const { input, completion } = response;
  if (output.isJson) {
    output.json(GetInputResponseSchema, response);
    return;
  }
  if (input === undefined) return;
  const told = completion === undefined ? undefined : tellCompletion(completion);
  output.facts([...inputFacts(input), ["end", told?.summary], ["result", told?.result]]);
  output.line("");
  output.table(HISTORY_COLUMNS, input.history, "no history");
}

async function showList(
  { connection, output }: Workplace,
  runtimeId: string,
  flags: InputFlags,
): Promise<void> {
  const filter = {
    states: [...(flags.state ?? [])],
    kinds: [...(flags.kind ?? [])],
    ...(flags.active === undefined ? {} : { active: flags.active }),
  };
  const includePayload = flags.payload ?? false;
  const response = await readPages(
    flags,
    (page) => connection.runtimes.listInputs({ runtimeId, filter, includePayload, ...page }),
    ({ inputs }) => inputs,
  );
  if (output.isJson) output.json(ListInputsResponseSchema, response);
  else output.table(INPUT_COLUMNS, response.inputs, "no inputs");
  noteMore(output, response);
}

/** Makes the command. */
export function makeInputsCommand(): Command {
  return withPages(makeClientCommand("inputs", "list the inputs of a runtime, or show one"))
    .argument("<runtime>", "name of the runtime")
    .argument("[input]", "id of the one to show, with its history and its end")
    .option("--key <key>", "show the one with this idempotency key")
    .option("--payload", "with the content as it was admitted")
    .addOption(
      new Option("--state <words>", `only in: ${enumWords(InputState).join(", ")}`).argParser(
        enumsOption(InputState),
      ),
    )
    .addOption(
      new Option("--kind <words>", `only of: ${enumWords(InputKind).join(", ")}`).argParser(
        enumsOption(InputKind),
      ),
    )
    .option("--active", "only those that are not over")
    .option("--no-active", "only those that are over")
    .addHelpText(
      "after",
      examples(
        ["keelson runtime inputs agent-1", "the first hundred, in admission order"],
        ["keelson runtime inputs agent-1 --active", "what is still to be done"],
        ["keelson runtime inputs agent-1 --state abandoned", "what was given up"],
        ["keelson runtime inputs agent-1 --key job-7 --payload", "one with history and content"],
      ),
    )
    .action(async (runtimeId: string, inputId: string | undefined, flags: InputFlags) => {
      await runClient(flags, async (workplace) => {
        const isOne = inputId !== undefined || flags.key !== undefined;
        if (isOne) await showOne(workplace, runtimeId, inputId, flags);
        else await showList(workplace, runtimeId, flags);
        return undefined;
      });
    });
}
