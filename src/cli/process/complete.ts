/** `keelson process complete`: ends a process, as its holder or with authority. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { type Command, Option } from "commander";
import type { ProcessOutputSchema } from "../../../gen/keelson/process/v1/messages_pb.ts";
import {
  type CompleteProcessRequestSchema,
  CompleteProcessResponseSchema,
} from "../../../gen/keelson/process/v1/service_pb.ts";
import {
  bigCountOption,
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  usageError,
} from "../client/client-command.ts";
import { jsonOption } from "../client/value-options.ts";
import { processFacts } from "./process-view.ts";

/** What the options say. */
interface CompleteFlags extends ClientFlags {
  readonly value?: Value;
  readonly failed?: string;
  readonly cancelled?: boolean;
  readonly message?: string;
  readonly leaseToken?: string;
  readonly generation?: bigint;
  readonly owner?: string;
}

type Proof = NonNullable<MessageInitShape<typeof CompleteProcessRequestSchema>["proof"]>;

/** How a process is to end, by the options that say so. */
export function outputOf(
  flags: Pick<CompleteFlags, "value" | "failed" | "cancelled" | "message">,
): MessageInitShape<typeof ProcessOutputSchema> {
  const { value, failed, cancelled, message = "" } = flags;
  if (failed !== undefined) {
    const failure = { failureClass: "operator", code: failed, message };
    return { output: { case: "failure", value: failure } };
  }
  if (cancelled === true) return { output: { case: "cancelled", value: { message } } };
  return { output: { case: "success", value: value === undefined ? {} : { value } } };
}

function proofOf({ leaseToken, generation, owner, actor }: CompleteFlags): Proof {
  if (leaseToken !== undefined && generation !== undefined) {
    return { case: "lease", value: { leaseToken, generation } };
  }
  if (leaseToken !== undefined || generation !== undefined) {
    throw usageError("A hold is proved by --lease-token and --generation together.");
  }
  const grantedTo = owner ?? actor ?? "operator";
  const authority = { case: "externalOwner", value: { grantedTo } } as const;
  return { case: "authority", value: { authority } };
}

/** Makes the command. */
export function makeCompleteCommand(): Command {
  return makeClientCommand("complete", "end a process")
    .argument("<process>", "name of the process")
    .option("--value <json>", "what it leaves for those who await it", jsonOption)
    .addOption(new Option("--failed <code>", "it failed, with this code").conflicts("value"))
    .addOption(new Option("--cancelled", "it was cancelled").conflicts(["value", "failed"]))
    .option("--message <text>", "for people, when it failed or was cancelled")
    .option("--lease-token <token>", "proof of a hold, as claim answered it")
    .option("--generation <number>", "generation of the hold", bigCountOption)
    .option("--owner <name>", "on whose word an externally owned process ends (operator)")
    .addHelpText(
      "after",
      examples(
        [`keelson process complete ci-42 --value '{"ok":true}'`, "done elsewhere"],
        ["keelson process complete ci-42 --failed timeout", "or not"],
        ["keelson process complete index-7 --lease-token T --generation 1", "by its holder"],
      ),
    )
    .action(async (processId: string, flags: CompleteFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.processes.completeProcess({
          processId,
          output: outputOf(flags),
          proof: proofOf(flags),
        });
        if (output.isJson) output.json(CompleteProcessResponseSchema, response);
        else if (response.process !== undefined) output.facts(processFacts(response.process));
        if (!output.isJson && response.replayed) output.note("it had ended so before");
        return undefined;
      });
    });
}
