/** The options that say how a command is run for a run, for all commands that run some. */
import { type Command, Option } from "commander";
import { hostname } from "node:os";
import { processEnvironment } from "../../config/process-environment.ts";
import { countOption, spanOption } from "../client/client-command.ts";
import type { Connection } from "../client/connection.ts";
import type { RunTerms } from "./held-run.ts";

/** What the options say. */
export interface RunFlags {
  readonly executorId?: string;
  readonly unrecoverableExitCode?: number;
  readonly resultFile?: boolean;
  readonly leaseTtl?: number;
  readonly killAfter: number;
  readonly progressInterval: number;
  readonly progress: boolean;
}

/** What a command gets and what is made of how it ends, for help texts. */
export const RUN_HELP = `\
The command gets the run as JSON on stdin (message RunAssignment of the contract) and
  KEELSON_RUNTIME_ID, KEELSON_RUN_ID, KEELSON_GENERATION, KEELSON_ATTEMPT
  KEELSON_ADDRESS, KEELSON_NAMESPACE    for calls of its own
  KEELSON_RESULT_FILE                   with --result-file
Its lines on stdout are published as events of the runtime (code worker.progress) while it runs, and
its last line is the result: a JSON object or array is a structured result, anything else a text.
  exit code 0                           the run is completed, with its boundary
  the code of --unrecoverable-exit-code the run has failed, its inputs are given up
  any other, or a signal                the run has failed, its inputs are tried again`;

/** Adds the options. */
export function withRunOptions(command: Command): Command {
  return command
    .option("--executor-id <name>", "name of this executor (default: host and process)")
    .option("--unrecoverable-exit-code <code>", "exit code that gives inputs up", countOption)
    .option("--result-file", "take the result from the file KEELSON_RESULT_FILE")
    .option("--lease-ttl <span>", "how long leases live without renewal, 1s to 10m", spanOption)
    .addOption(
      new Option("--kill-after <span>", "time between SIGTERM and SIGKILL of a command")
        .argParser(spanOption)
        .default(5_000, "5s"),
    )
    .addOption(
      new Option("--progress-interval <span>", "least time between two progress events")
        .argParser(spanOption)
        .default(500, "500ms"),
    )
    .option("--no-progress", "publish no events");
}

/** Name of this executor. */
export function executorIdOf(flags: RunFlags): string {
  return flags.executorId ?? `${hostname()}-${process.pid}`;
}

/** How runs are run. */
export function runTermsOf(
  connection: Connection,
  command: string,
  words: readonly string[],
  flags: RunFlags,
): RunTerms {
  const { unrecoverableExitCode } = flags;
  return {
    command,
    words,
    environment: {
      ...processEnvironment(),
      KEELSON_ADDRESS: connection.address,
      KEELSON_NAMESPACE: connection.namespace,
    },
    usesResultFile: flags.resultFile ?? false,
    killAfterMs: flags.killAfter,
    ...(flags.progress ? { progressIntervalMs: flags.progressInterval } : {}),
    ...(unrecoverableExitCode === undefined ? {} : { unrecoverableExitCode }),
  };
}
