/** `keelson runtime ingest`: gives a runtime something to do. */
import { randomUUID } from "node:crypto";
import { text as readText } from "node:stream/consumers";
import type { Command } from "commander";
import {
  AwaitInputResponseSchema,
  IngestResponseSchema,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import {
  examples,
  makeClientCommand,
  runClient,
  usageError,
  type Workplace,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES, type ClientExitCode } from "../client/exit-codes.ts";
import { tellCompletion } from "./completion-view.ts";
import { waitForEnd } from "./completion-wait.ts";
import { ingestFile } from "./ingest-file.ts";
import { type IngestFlags, inputOf, withIngestOptions } from "./ingest-options.ts";
import { outcomeText } from "./ingest-view.ts";

async function textOf(argument: string | undefined, flags: IngestFlags) {
  if (argument !== undefined && argument !== "-") return argument;
  if (flags.input !== undefined) return undefined;
  if (argument === undefined && process.stdin.isTTY) {
    throw usageError("Give a text, or - to read it from stdin.");
  }
  return await readText(process.stdin);
}

async function ingestOne(
  { connection, output }: Workplace,
  runtimeId: string,
  argument: string | undefined,
  flags: IngestFlags,
): Promise<ClientExitCode | undefined> {
  const input = inputOf(await textOf(argument, flags), flags);
  const response = await connection.runtimes.ingest({
    runtimeId,
    input,
    ensure: flags.ensure ?? false,
    withoutWake: !flags.wake,
    requestId: randomUUID(),
  });
  const { outcome } = response;
  if (outcome.case === undefined) throw new TypeError("the server answered without an outcome");
  const isWaiting = flags.wait === true && outcome.case !== "rejected";
  if (output.isJson && !isWaiting) output.json(IngestResponseSchema, response);
  if (!output.isJson) {
    if (isWaiting) output.note(outcomeText(outcome));
    else output.line(outcomeText(outcome));
  }
  if (outcome.case === "rejected") return CLIENT_EXIT_CODES.precondition;
  if (!isWaiting) return undefined;
  const { value } = outcome;
  const inputId = "existingId" in value ? value.existingId : value.inputId;
  const target = { case: "inputId", value: inputId } as const;
  const end = await waitForEnd(connection, { runtimeId, target }, flags.timeout);
  const told = tellCompletion(end.completion);
  if (output.isJson) output.json(AwaitInputResponseSchema, end);
  else {
    output.note(told.summary);
    if (told.result !== undefined) output.line(told.result);
  }
  return told.exitCode;
}

/** Makes the command. */
export function makeIngestCommand(): Command {
  return withIngestOptions(makeClientCommand("ingest", "give a runtime inputs"))
    .argument("[runtime]", "name of the runtime; not needed where every line of --file names one")
    .argument("[text]", "text of the prompt; read from stdin when it is - or missing")
    .addHelpText(
      "after",
      `
A line of --file is an Input, or {"runtimeId": ..., "input": Input, "ensure": true, ...}. Every
line has an idempotency key, its own or one made of the file and the line's number, so that a file
that broke off is simply sent again: what is there already is not taken in twice.
${examples(
  ["keelson runtime ingest agent-1 'hello' --ensure", "one prompt"],
  ["keelson runtime ingest agent-1 'hello' --key job-7 --wait", "and its result"],
  ["git diff | keelson runtime ingest agent-1", "the text from stdin"],
  ["keelson runtime ingest agent-1 'stop that' --steer", "into the run in flight"],
  [`keelson runtime ingest agent-1 --input '{"continuation":{"reason":"more"}}'`, "another kind"],
  ["keelson runtime ingest --file inputs.jsonl --ensure", "many, with progress"],
)}`,
    )
    .action(async (runtimeId: string | undefined, text: string | undefined, flags: IngestFlags) => {
      await runClient(flags, async (workplace) => {
        if (flags.file !== undefined) {
          if (text !== undefined) throw usageError("Give either a text or --file, not both.");
          return await ingestFile(workplace, flags.file, runtimeId, flags);
        }
        if (runtimeId === undefined) throw usageError("Name the runtime.");
        return await ingestOne(workplace, runtimeId, text, flags);
      });
    });
}
