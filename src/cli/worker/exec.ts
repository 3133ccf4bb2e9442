/** `keelson worker exec`: an executor that runs a command for every run. */
import { type Command, Option } from "commander";
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
import { makeProcessWorker } from "./process-worker.ts";
import { executorIdOf, RUN_HELP, type RunFlags, runTermsOf, withRunOptions } from "./run-terms.ts";
import { makeSidecar, type Sidecar, type SidecarOptions } from "./sidecar.ts";
import { makeWorkerLog } from "./worker-log.ts";

const HELP = `
${RUN_HELP}
It gets SIGTERM, and SIGKILL after --kill-after, when the run is interrupted or taken away.
SIGTERM to the worker: no more runs are taken, running ones may go on for --grace, then they are
handed back uncounted; exit code 0. A second signal ends everything at once.
With --processes the command gets the process as JSON on stdin (message Process) and
  KEELSON_PROCESS_ID, KEELSON_GENERATION, KEELSON_LEASE_TOKEN
Its lines on stdout that are JSON like {"type":"progress","payload":{"done":3},"key":"3"} are
appended as events, and its last other line is the value of the process when it exits with 0. Any
other exit code, or a signal, is a failure. A cancellation is told by SIGTERM.
${examples(
  ["keelson worker exec --processes indexer -- ./index", "one process of the kind at a time"],
  ["keelson worker exec --pool default -- ./my-agent", "whatever needs running"],
  ["keelson worker exec --runtime agent-1 --slots 1 -- python agent.py", "one runtime only"],
  ["keelson worker exec --pool text --slots 4 --result-file -- ./job --fast", "four at once"],
  ["keelson worker exec --pool text -- jq -r .runId", "the last line is the result"],
)}`;

/** What the options say. */
interface ExecFlags extends ConnectionFlags, RunFlags {
  readonly pool?: string;
  readonly runtime?: readonly string[];
  readonly processes?: readonly string[];
  readonly slots: number;
  readonly grace: number;
}

function sidecarOptions(
  connection: Connection,
  command: string,
  words: readonly string[],
  flags: ExecFlags,
): SidecarOptions {
  const { pool, runtime, slots, leaseTtl } = flags;
  return {
    connection,
    executor: {
      executorId: executorIdOf(flags),
      pool: pool ?? (runtime === undefined ? "default" : ""),
      runtimeIds: runtime ?? [],
      slots,
      ...(leaseTtl === undefined ? {} : { leaseTtlMs: leaseTtl }),
    },
    runs: runTermsOf(connection, command, words, flags),
    graceMs: flags.grace,
    log: makeWorkerLog(),
  };
}

const PROCESS_LEASE_TTL_MS = 15_000;

/** A worker of processes, or one of runs. */
function workerOf(
  connection: Connection,
  program: string,
  words: readonly string[],
  flags: ExecFlags,
): Sidecar {
  const { processes: kinds, slots, leaseTtl } = flags;
  if (kinds === undefined) return makeSidecar(sidecarOptions(connection, program, words, flags));
  const { command, environment, killAfterMs } = runTermsOf(connection, program, words, flags);
  return makeProcessWorker({
    connection,
    ownerId: executorIdOf(flags),
    kinds,
    slots,
    leaseTtlMs: leaseTtl ?? PROCESS_LEASE_TTL_MS,
    terms: { command, words, environment, killAfterMs },
    graceMs: flags.grace,
    log: makeWorkerLog(),
  });
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
  const command = makeConnectionCommand(
    "exec",
    "run a command for every run of a pool or of runtimes, or for every process",
  )
    .argument("<command>", "command to run, after --")
    .argument("[words...]", "its arguments")
    .addOption(new Option("--pool <name>", "serve this pool (default: default)"))
    .addOption(
      new Option("--runtime <id...>", "serve these runtimes instead of a pool").conflicts("pool"),
    )
    .addOption(
      new Option("--processes <kind...>", "claim processes of these kinds instead").conflicts([
        "pool",
        "runtime",
        "resultFile",
      ]),
    )
    .option("--slots <number>", "most runs at once", countOption, 1)
    .addOption(
      new Option("--grace <span>", "time that running commands have on SIGTERM")
        .argParser(spanOption)
        .default(20_000, "20s"),
    );
  return withRunOptions(command)
    .addHelpText("after", HELP)
    .action(async (program: string, words: readonly string[], flags: ExecFlags) => {
      await runClient({ ...flags, output: "table" }, async ({ connection }) => {
        const sidecar = workerOf(connection, program, words, flags);
        obeySignals(sidecar);
        const end = await sidecar.work();
        if (end.type === "failed") throw new CommandError(end.problem);
        return undefined;
      });
    });
}
