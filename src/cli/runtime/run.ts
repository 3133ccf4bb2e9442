/** `keelson runtime run`: takes an input in and runs a command for it, here and at once. */
import { randomUUID } from "node:crypto";
import { text as readText } from "node:stream/consumers";
import type { Command } from "commander";
import { AwaitInputResponseSchema } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { durationFromProto, durationToProto } from "../../rpc/codec/time.ts";
import {
  CommandError,
  examples,
  makeClientCommand,
  runClient,
  usageError,
  type Workplace,
} from "../client/client-command.ts";
import type { ClientExitCode } from "../client/exit-codes.ts";
import { untilAnswered } from "../client/repeat.ts";
import {
  executorIdOf,
  RUN_HELP,
  type RunFlags,
  runTermsOf,
  withRunOptions,
} from "../worker/run-terms.ts";
import { tellCompletion } from "./completion-view.ts";
import { waitForEnd } from "./completion-wait.ts";
import { type InputFlags, inputOf, withInputOptions } from "./ingest-options.ts";
import { workOn } from "./taken-run.ts";

/** How long to try to take the input in, unless `--timeout` says otherwise. */
const PATIENCE_MS = 30_000;

/** What the options say. */
interface RunCommandFlags extends InputFlags, RunFlags {
  readonly text?: string;
}

async function textOf({ text, input }: RunCommandFlags): Promise<string | undefined> {
  if (text !== undefined || input !== undefined) return text;
  if (process.stdin.isTTY) throw usageError("Give a --text, an --input, or a text on stdin.");
  return await readText(process.stdin);
}

async function perform(
  { connection, output }: Workplace,
  runtimeId: string,
  command: string,
  words: readonly string[],
  flags: RunCommandFlags,
): Promise<ClientExitCode> {
  const { leaseTtl, ensure = false } = flags;
  const identity = { executorId: executorIdOf(flags), incarnationId: randomUUID() };
  const request = {
    runtimeId,
    input: inputOf(await textOf(flags), flags),
    ensure,
    ...identity,
    ...(leaseTtl === undefined ? {} : { leaseTtl: durationToProto(leaseTtl) }),
    requestId: randomUUID(),
  };
  let sentMs = performance.now();
  const signal = AbortSignal.timeout(flags.timeout ?? PATIENCE_MS);
  const { run, leaseRemaining, accepted } = await untilAnswered(
    () => {
      sentMs = performance.now();
      return connection.runtimes.ingestAndRun(request);
    },
    { signal },
  );
  const leaseTtlMs = leaseRemaining === undefined ? undefined : durationFromProto(leaseRemaining);
  if (run === undefined || accepted === undefined || leaseTtlMs === undefined) {
    throw new TypeError("the server answered without a run");
  }
  const terms = runTermsOf(connection, command, words, flags);
  const { problem } = await workOn({ connection, ...identity, run, terms, leaseTtlMs, sentMs });
  if (problem !== undefined) throw new CommandError(`the command cannot be started: ${problem}`);
  const target = { case: "inputId", value: accepted.inputId } as const;
  const end = await waitForEnd(connection, { runtimeId, target }, 0);
  const told = tellCompletion(end.completion);
  if (output.isJson) output.json(AwaitInputResponseSchema, end);
  else {
    output.note(told.summary);
    if (told.result !== undefined) output.line(told.result);
  }
  return told.exitCode;
}

/** Makes the command. */
export function makeRunCommand(): Command {
  const command = makeClientCommand("run", "take an input in and run a command for it, here")
    .argument("<runtime>", "name of the runtime")
    .argument("<command>", "command to run, after --")
    .argument("[words...]", "its arguments")
    .option("--text <text>", "text of the prompt; read from stdin when it is missing");
  return withRunOptions(withInputOptions(command))
    .addHelpText(
      "after",
      `
The input is taken in and run in one step, by this process: refused while the runtime has other
work or another executor holds it. The result goes to stdout. Ends with 0 when the input was done,
1 when it was given up, 8 when it is queued again.
${RUN_HELP}
Ctrl-C cancels the run; SIGTERM hands it back for another executor.
${examples(
  ["keelson runtime run agent-1 --text 'hello' --ensure -- ./my-agent", "one turn"],
  ["git diff | keelson runtime run agent-1 --key review-7 -- ./review", "taken in once"],
)}`,
    )
    .action(
      async (
        runtimeId: string,
        program: string,
        words: readonly string[],
        flags: RunCommandFlags,
      ) => {
        await runClient(flags, (workplace) => perform(workplace, runtimeId, program, words, flags));
      },
    );
}
