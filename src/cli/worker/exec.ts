/** `keelson worker exec`: an executor that runs a command for every run. */
import { type Command, Option } from "commander";
import { hostname } from "node:os";
import { processEnvironment } from "../../config/process-environment.ts";
import {
  CommandError,
  type ConnectionFlags,
  countOption,
  examples,
  makeConnectionCommand,
  runClient,
  spanOption,
} from "../client/client-command.ts";
import type { Connection } from "../client/connection.ts";
import { CLIENT_EXIT_CODES } from "../client/exit-codes.ts";
import { makeSidecar, type Sidecar, type SidecarOptions } from "./sidecar.ts";
import { makeWorkerLog } from "./worker-log.ts";

const HELP = `
The command gets the run as JSON on stdin (message RunAssignment of the contract) and
  KEELSON_RUNTIME_ID, KEELSON_RUN_ID, KEELSON_GENERATION, KEELSON_ATTEMPT
  KEELSON_ADDRESS, KEELSON_NAMESPACE    for calls of its own
  KEELSON_RESULT_FILE                   with --result-file
Its lines on stdout are published as events of the runtime (code worker.progress) while it runs, and
its last line is the result: a JSON object or array is a structured result, anything else a text.
  exit code 0                           the run is completed, with its boundary
  the code of --unrecoverable-exit-code the run has failed, its inputs are given up
  any other, or a signal                the run has failed, its inputs are tried again
It gets SIGTERM, and SIGKILL after --kill-after, when the run is interrupted or taken away.
SIGTERM to the worker: no more runs are taken, running ones may go on for --grace, then they are
handed back uncounted; exit code 0. A second signal ends everything at once.
${examples(
  ["keelson worker exec --pool default -- ./my-agent", "whatever needs running"],
  ["keelson worker exec --runtime agent-1 --slots 1 -- python agent.py", "one runtime only"],
  ["keelson worker exec --pool text --slots 4 --result-file -- ./job --fast", "four at once"],
  ["keelson worker exec --pool text -- jq -r .runId", "the last line is the result"],
)}`;

/** What the options say. */
interface ExecFlags extends ConnectionFlags {
  readonly pool?: string;
  readonly runtime?: readonly string[];
  readonly slots: number;
  readonly executorId?: string;
  readonly unrecoverableExitCode?: number;
  readonly resultFile?: boolean;
  readonly leaseTtl?: number;
  readonly grace: number;
  readonly killAfter: number;
  readonly progressInterval: number;
  readonly progress: boolean;
}

function sidecarOptions(
  connection: Connection,
  command: string,
  words: readonly string[],
  flags: ExecFlags,
): SidecarOptions {
  const { pool, runtime, slots, leaseTtl, unrecoverableExitCode } = flags;
  return {
    connection,
    executor: {
      executorId: flags.executorId ?? `${hostname()}-${process.pid}`,
      pool: pool ?? (runtime === undefined ? "default" : ""),
      runtimeIds: runtime ?? [],
      slots,
      ...(leaseTtl === undefined ? {} : { leaseTtlMs: leaseTtl }),
    },
    runs: {
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
    },
    graceMs: flags.grace,
    log: makeWorkerLog(),
  };
}

/** The first signal stops the worker in good order, the second one at once. */
function obeySignals(sidecar: Sidecar): void {
  let isStopping = false;
  const onSignal = (): void => {
    if (isStopping) {
      sidecar.kill();
      process.exit(CLIENT_EXIT_CODES.failed);
    }
    isStopping = true;
    sidecar.stop();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

/** Makes the command. */
export function makeExecCommand(): Command {
  return makeConnectionCommand("exec", "run a command for every run of a pool or of runtimes")
    .argument("<command>", "command to run, after --")
    .argument("[words...]", "its arguments")
    .addOption(new Option("--pool <name>", "serve this pool (default: default)"))
    .addOption(
      new Option("--runtime <id...>", "serve these runtimes instead of a pool").conflicts("pool"),
    )
    .option("--slots <number>", "most runs at once", countOption, 1)
    .option("--executor-id <name>", "name of this executor (default: host and process)")
    .option("--unrecoverable-exit-code <code>", "exit code that gives inputs up", countOption)
    .option("--result-file", "take the result from the file KEELSON_RESULT_FILE")
    .option("--lease-ttl <span>", "how long leases live without renewal, 1s to 10m", spanOption)
    .addOption(
      new Option("--grace <span>", "time that running commands have on SIGTERM")
        .argParser(spanOption)
        .default(20_000, "20s"),
    )
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
    .option("--no-progress", "publish no events")
    .addHelpText("after", HELP)
    .action(async (command: string, words: readonly string[], flags: ExecFlags) => {
      await runClient({ ...flags, output: "table" }, async ({ connection }) => {
        const sidecar = makeSidecar(sidecarOptions(connection, command, words, flags));
        obeySignals(sidecar);
        const end = await sidecar.work();
        if (end.type === "failed") throw new CommandError(end.problem);
        return undefined;
      });
    });
}
