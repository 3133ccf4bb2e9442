/** `keelson process register`: registers a process from options or from a file. */
import { fromJsonString, type MessageInitShape } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { type Command, Option } from "commander";
import { readFileSync } from "node:fs";
import {
  ProcessDisposition,
  type ProcessInputSchema,
  ProcessRegistrationSchema,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { RegisterProcessResponseSchema } from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  usageError,
} from "../client/client-command.ts";
import { enumWords } from "../client/format.ts";
import { enumOption, jsonOption, labelOption } from "../client/value-options.ts";
import { processFacts } from "./process-view.ts";

type Registration = MessageInitShape<typeof ProcessRegistrationSchema>;

/** What the options say. */
interface RegisterFlags extends ClientFlags {
  readonly file?: string;
  readonly kind?: string;
  readonly payload?: Value;
  readonly env?: string;
  readonly disposition?: ProcessDisposition;
  readonly session?: string;
  readonly wake?: string;
  readonly event?: readonly string[];
  readonly label?: Readonly<Record<string, string>>;
}

function registrationFromFile(path: string, processId: string | undefined): Registration {
  try {
    const text = readFileSync(path === "-" ? 0 : path, "utf8");
    const registration = fromJsonString(ProcessRegistrationSchema, text);
    registration.processId = processId ?? registration.processId;
    return registration;
  } catch (error) {
    if (error instanceof Error && "syscall" in error) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw usageError(`${path} is not the JSON of a registration: ${why}`);
  }
}

function inputOf(
  { kind, payload }: RegisterFlags,
  isExternal: boolean,
): MessageInitShape<typeof ProcessInputSchema> {
  const content = payload === undefined ? {} : { payload };
  if (isExternal) {
    const metadata = payload === undefined ? {} : { metadata: payload };
    return { kind: { case: "external", value: metadata } };
  }
  return { kind: { case: "engine", value: { kind: kind ?? "", ...content } } };
}

function registrationOf(processId: string, flags: RegisterFlags): Registration {
  const { disposition = ProcessDisposition.RERUNNABLE, kind, session, env = "" } = flags;
  const isExternal = disposition === ProcessDisposition.EXTERNALLY_OWNED;
  if (kind === undefined) throw usageError("Say what kind of process it is: --kind or --file.");
  return {
    processId,
    input: inputOf(flags, isExternal),
    eventTypes: (flags.event ?? []).map((name) => ({ name })),
    provenance: {
      originator:
        session === undefined
          ? { case: "host", value: { scope: "cli" } }
          : { case: "session", value: { sessionId: session } },
    },
    disposition,
    identity: { kind },
    envRef: isExternal ? "" : env || "default",
    wakeRuntimeId: flags.wake ?? "",
    labels: { ...flags.label },
  };
}

/** Makes the command. */
export function makeRegisterCommand(): Command {
  const collect = (text: string, before: readonly string[] | undefined): readonly string[] => [
    ...(before ?? []),
    text,
  ];
  const dispositions = enumWords(ProcessDisposition).join(", ");
  return makeClientCommand("register", "register a process; the same one again changes nothing")
    .argument("[process]", "name of the process; the server makes one when it is left out")
    .addOption(
      new Option("--file <path>", "registration as JSON; - reads it from stdin").conflicts([
        "kind",
        "payload",
        "event",
      ]),
    )
    .option("--kind <name>", "what workers claim by")
    .option("--payload <json>", "what it works on", jsonOption)
    .option("--event <type>", "declare a type of events; again for more", collect)
    .addOption(
      new Option("--disposition <word>", `rerunnable, or another of ${dispositions}`).argParser(
        enumOption(ProcessDisposition),
      ),
    )
    .option("--env <name>", "environment that a worker needs (default)")
    .option("--session <id>", "the session that wants it")
    .option("--wake <runtime>", "runtime that its wakes go to")
    .option("--label <name=value>", "label; again for more", labelOption)
    .addHelpText(
      "after",
      examples(
        ["keelson process register index-7 --kind indexer --event progress", "for workers"],
        [`keelson process register --kind indexer --payload '{"path":"/"}'`, "with an input"],
        [
          "keelson process register ci-42 --kind build --disposition externally_owned",
          "done elsewhere",
        ],
        ["keelson process register --file process.json", "everything that there is to say"],
      ),
    )
    .action(async (processId: string | undefined, flags: RegisterFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const { file } = flags;
        const registration =
          file === undefined
            ? registrationOf(processId ?? "", flags)
            : registrationFromFile(file, processId);
        const response = await connection.processes.registerProcess({ registration });
        if (output.isJson) output.json(RegisterProcessResponseSchema, response);
        else if (response.process !== undefined) output.facts(processFacts(response.process));
        if (!output.isJson && !response.created) output.note("it was registered before");
        return undefined;
      });
    });
}
