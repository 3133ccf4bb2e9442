/** The options of an ingest, and the input that they and the text make. */
import { create, fromJsonString } from "@bufbuild/protobuf";
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  HandlingMode,
  type Input,
  InputSchema,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { type ClientFlags, usageError } from "../client/client-command.ts";
import { labelOption } from "../client/value-options.ts";

/** What the options of an input say. */
export interface InputFlags extends ClientFlags {
  readonly key?: string;
  readonly correlation?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly input?: Input;
  readonly ensure?: boolean;
}

/** What the options of an ingest say. */
export interface IngestFlags extends InputFlags {
  readonly supersede?: string;
  readonly steer?: boolean;
  /** False with `--no-wake`. */
  readonly wake: boolean;
  readonly wait?: boolean;
  readonly file?: string;
  readonly keyPrefix?: string;
}

function inputOption(text: string): Input {
  try {
    return fromJsonString(InputSchema, text);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new InvalidArgumentError(`It must be an Input as JSON: ${problem}.`);
  }
}

/** Adds the options of an input. */
export function withInputOptions(command: Command): Command {
  return command
    .option("--key <key>", "idempotency key: sent twice, it is taken in once, for ever")
    .option("--correlation <id>", "ties inputs of one conversation together")
    .option("--label <name=value>", "label of the input; again for more", labelOption)
    .addOption(
      new Option("--input <json>", "the whole input instead of a text").argParser(inputOption),
    )
    .option("--ensure", "register the runtime when it is not");
}

/** Adds the options of an ingest. */
export function withIngestOptions(command: Command): Command {
  return withInputOptions(command)
    .option("--supersede <key>", "replace a queued input with this supersession key")
    .option("--steer", "join the run in flight at its next boundary, or head the next run")
    .option("--no-wake", "do not wake the runtime")
    .option("--wait", "wait for the end and print the result; --timeout bounds the wait")
    .addOption(
      new Option("--file <path>", "many inputs, one JSON per line; - is stdin").conflicts([
        "key",
        "supersede",
        "steer",
        "input",
        "wait",
      ]),
    )
    .option("--key-prefix <text>", "with --file: keys of lines without one (default: by content)");
}

/** The input of a text and the options. */
export function inputOf(
  text: string | undefined,
  flags: InputFlags & Partial<Pick<IngestFlags, "supersede" | "steer">>,
): Input {
  const { key, supersede, correlation, label, steer } = flags;
  if (flags.input !== undefined && text !== undefined) {
    throw usageError("Give either a text or --input, not both.");
  }
  if (flags.input !== undefined && steer) {
    throw usageError("--steer goes with a text; an --input says itself how it is handled.");
  }
  const turnMetadata = steer ? { turnMetadata: { handlingMode: HandlingMode.STEER } } : {};
  const input =
    flags.input ??
    create(InputSchema, {
      kind: { case: "prompt", value: { text: text ?? "", ...turnMetadata } },
    });
  if (key !== undefined) input.idempotencyKey = key;
  if (supersede !== undefined) input.supersessionKey = supersede;
  if (correlation !== undefined) input.correlationId = correlation;
  Object.assign(input.labels, label);
  return input;
}
