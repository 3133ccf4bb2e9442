/** `keelson runtime ensure`: registers a runtime and sets its configuration. */
import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import type { RuntimeConfigSchema } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { EnsureRuntimeResponseSchema } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { durationToProto } from "../../rpc/codec/time.ts";
import {
  type ClientFlags,
  countOption,
  examples,
  makeClientCommand,
  runClient,
  spanOption,
} from "../client/client-command.ts";
import { labelOption } from "../client/value-options.ts";
import { runtimeFacts } from "./runtime-view.ts";

/** What the options say. */
interface EnsureFlags extends ClientFlags {
  readonly label?: Readonly<Record<string, string>>;
  readonly clearLabels?: boolean;
  readonly pool?: string;
  readonly queueLimit?: number;
  readonly attemptLimit?: number;
  readonly retryInitial?: number;
  readonly retryMax?: number;
  readonly leaseTtl?: number;
  readonly keepAlive?: boolean;
  readonly operationLimit?: number;
  readonly completedRetention?: number;
}

function configOf(flags: EnsureFlags): MessageInitShape<typeof RuntimeConfigSchema> {
  const { label, pool, queueLimit, attemptLimit, retryInitial, retryMax, keepAlive } = flags;
  const { operationLimit, completedRetention } = flags;
  const initial = retryInitial === undefined ? {} : { initial: durationToProto(retryInitial) };
  const max = retryMax === undefined ? {} : { max: durationToProto(retryMax) };
  const retryBackoff = { ...initial, ...max };
  return {
    ...(label === undefined ? {} : { labels: { ...label } }),
    ...(pool === undefined ? {} : { pool }),
    ...(queueLimit === undefined ? {} : { queueLimit }),
    ...(attemptLimit === undefined ? {} : { attemptLimit }),
    ...(Object.keys(retryBackoff).length === 0 ? {} : { retryBackoff }),
    ...(flags.leaseTtl === undefined ? {} : { leaseTtl: durationToProto(flags.leaseTtl) }),
    ...(keepAlive === undefined ? {} : { keepAlive }),
    ...(operationLimit === undefined ? {} : { operationLimit }),
    ...(completedRetention === undefined ? {} : { completedRetention }),
  };
}

/** Makes the command. */
export function makeEnsureCommand(): Command {
  return makeClientCommand("ensure", "register a runtime, or change its configuration")
    .argument("<runtime>", "name of the runtime")
    .option("--pool <name>", "pool whose executors may serve it")
    .option("--label <name=value>", "label; again for more; replaces all labels", labelOption)
    .addOption(new Option("--clear-labels", "remove all labels").conflicts("label"))
    .option("--queue-limit <number>", "most inputs that may be queued", countOption)
    .option("--attempt-limit <number>", "attempts before an input is abandoned", countOption)
    .option("--retry-initial <span>", "wait after the first failure", spanOption)
    .option("--retry-max <span>", "longest wait between attempts", spanOption)
    .option("--lease-ttl <span>", "how long a lease lives without renewal", spanOption)
    .option("--keep-alive", "meant to stay ready between runs")
    .option("--no-keep-alive", "not meant to stay ready between runs")
    .option("--operation-limit <number>", "most operations that may be active", countOption)
    .option("--completed-retention <number>", "ended operations kept in the registry", countOption)
    .addHelpText(
      "after",
      examples(
        ["keelson runtime ensure agent-1", "there, with the configuration it has"],
        [
          "keelson runtime ensure agent-1 --pool text --attempt-limit 5",
          "and changes two settings",
        ],
        ["keelson runtime ensure agent-1 --label team=a --label tier=1", "and replaces its labels"],
      ),
    )
    .action(async (runtimeId: string, flags: EnsureFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.runtimes.ensureRuntime({
          runtimeId,
          config: configOf(flags),
          clearLabels: flags.clearLabels ?? false,
          requestId: randomUUID(),
        });
        if (output.isJson) {
          output.json(EnsureRuntimeResponseSchema, response);
          return undefined;
        }
        output.note(response.created ? "registered" : "was registered already");
        if (response.runtime !== undefined) output.facts(runtimeFacts(response.runtime));
        return undefined;
      });
    });
}
