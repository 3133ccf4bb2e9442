/**
 * One run that this worker holds: from its assignment over the command to the report of its end.
 *
 *   waiting -> (begin) -> running
 *   waiting, running -> (exit, interrupt, release) -> reporting -> over
 *   waiting, running -> (lost) -> over, without a report
 *
 * The command starts when the leases are known to live: at once as a rule, but after a pause of
 * this process only when the server has confirmed that the run is held. An assignment that was read
 * late may be somebody else's by now.
 */
import { toJson } from "@bufbuild/protobuf";
import {
  type RunAssignment,
  RunAssignmentSchema,
} from "../../../gen/keelson/executor/v1/messages_pb.ts";
import { jsonToProto } from "../../rpc/codec/json-value.ts";
import type { Connection } from "../client/connection.ts";
import { formatSpan } from "../client/format.ts";
import { type CommandEnd, type CommandProcess, startCommand } from "./command-process.ts";
import type { OutputLine } from "./line-splitter.ts";
import { makeProgressFeed, type ProgressLines } from "./progress-feed.ts";
import { type ReportResult, reportRun, type RunVerdict } from "./reports.ts";
import { makeResultFile, outcomeOf, type ResultFile, storable } from "./run-result.ts";
import type { WorkerLog } from "./worker-log.ts";

const PROGRESS_CODE = "worker.progress";
const PROGRESS_TIMEOUT_MS = 5_000;
const ERROR_LINES_KEPT = 20;

/** How runs are run. */
export interface RunTerms {
  readonly command: string;
  readonly words: readonly string[];
  /** Variables of the command, without those of the run. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Exit code after which the inputs are not tried again. */
  readonly unrecoverableExitCode?: number;
  /** Whether the result is what the command leaves in a file, not its last line. */
  readonly usesResultFile: boolean;
  /** Shortest time between two progress events; none are sent when absent. */
  readonly progressIntervalMs?: number;
  /** How long a command that is told to end may take before it is killed. */
  readonly killAfterMs: number;
}

/** What a run works with. */
export interface RunOptions {
  readonly connection: Connection;
  readonly assignment: RunAssignment;
  readonly terms: RunTerms;
  readonly log: WorkerLog;
  /** Ends the repetition of reports. */
  readonly signal: AbortSignal;
  /** Told when the command cannot be started at all, before the run is handed back. */
  readonly onNotStarted: (problem: string) => void;
}

/** A run that this worker holds. */
export interface HeldRun {
  /** Starts the command; to be called when the run is known to be this executor's. */
  readonly begin: () => void;
  /** Ends the command and cancels the run. */
  readonly interrupt: () => void;
  /** Ends the command and hands the run back. */
  readonly release: () => void;
  /** Ends the command; the run is somebody else's, so nothing is reported. */
  readonly lose: (reason: string) => void;
  /** Kills the command at once; nothing else happens. */
  readonly kill: () => void;
  /** Resolves when nothing is left to be done; never rejects. */
  readonly ended: Promise<void>;
}

/** Why a command was told to end. */
type Ending =
  | { readonly type: "interrupt" }
  | { readonly type: "release" }
  | { readonly type: "lost"; readonly reason: string };

function runVariables(assignment: RunAssignment, resultFile: ResultFile | undefined) {
  const { runtimeId, runId, generation, attempt } = assignment;
  return {
    KEELSON_RUNTIME_ID: runtimeId,
    KEELSON_RUN_ID: runId,
    KEELSON_GENERATION: String(generation),
    KEELSON_ATTEMPT: String(attempt),
    ...(resultFile === undefined ? {} : { KEELSON_RESULT_FILE: resultFile.path }),
  };
}

function failureText(end: CommandEnd, errorLines: readonly string[]): string {
  const how =
    end.type === "killed"
      ? `killed by ${end.signal}`
      : `exit code ${end.type === "exited" ? end.exitCode : "unknown"}`;
  return errorLines.length === 0 ? how : `${how}: ${errorLines.join("\n")}`;
}

const PAST_TENSE = {
  complete: "completed",
  fail: "failed",
  cancel: "cancelled",
  release: "released",
} as const satisfies Record<RunVerdict["type"], string>;

function endText(result: ReportResult): string {
  if (result.type === "lost") return `lost (${result.reason})`;
  if (result.type === "given_up") return `not reported (${result.reason})`;
  const { verdict } = result;
  if (verdict.type !== "fail") return PAST_TENSE[verdict.type];
  const firstLine = verdict.error.split("\n", 1)[0] ?? "";
  return `failed${verdict.recoverable ? "" : " for good"} (${firstLine})`;
}

/** Takes a run up. */
export function holdRun(options: RunOptions): HeldRun {
  const { connection, assignment, terms, log, signal } = options;
  const { runtimeId, runId, attempt } = assignment;
  const startedMs = performance.now();
  const errorLines: string[] = [];
  let running: CommandProcess | undefined;
  let ending: Ending | undefined;
  let lastLine: OutputLine = { text: "", isCut: false };
  const begun = Promise.withResolvers<void>();

  async function publish({ lines, omitted }: ProgressLines): Promise<void> {
    const payload = jsonToProto({ runId, attempt, lines: lines.map(storable), omitted });
    const event = { runtimeId, eventCode: PROGRESS_CODE, payload, causationId: runId };
    await connection.runtimes
      .publishEvent(event, { signal, timeoutMs: PROGRESS_TIMEOUT_MS })
      .catch(() => undefined);
  }

  const { progressIntervalMs } = terms;
  const feed = makeProgressFeed({
    intervalMs: progressIntervalMs ?? 0,
    publish: progressIntervalMs === undefined ? () => Promise.resolve() : publish,
  });

  function takeLine(line: OutputLine): void {
    if (line.text !== "") lastLine = line;
    feed.push(line);
  }

  function takeErrorLine({ text }: OutputLine): void {
    log.passOn(runtimeId, text);
    errorLines.push(text);
    if (errorLines.length > ERROR_LINES_KEPT) errorLines.shift();
  }

  async function runCommand(resultFile: ResultFile | undefined): Promise<CommandEnd> {
    const json = toJson(RunAssignmentSchema, assignment, { alwaysEmitImplicit: true });
    running = startCommand({
      command: terms.command,
      words: terms.words,
      environment: { ...terms.environment, ...runVariables(assignment, resultFile) },
      input: `${JSON.stringify(json)}\n`,
      onLine: takeLine,
      onErrorLine: takeErrorLine,
    });
    return await running.ended;
  }

  async function resultText(resultFile: ResultFile | undefined): Promise<string | undefined> {
    if (resultFile !== undefined) return await resultFile.read();
    return lastLine.isCut ? undefined : lastLine.text;
  }

  async function verdictOf(
    end: CommandEnd,
    resultFile: ResultFile | undefined,
  ): Promise<RunVerdict> {
    if (ending?.type === "interrupt") return { type: "cancel" };
    if (ending?.type === "release" || end.type === "not_started") return { type: "release" };
    if (end.type === "exited" && end.exitCode === 0) {
      const text = await resultText(resultFile);
      if (text !== undefined) return { type: "complete", outcome: outcomeOf(text) };
      return { type: "fail", error: "the result is larger than 1 MiB", recoverable: true };
    }
    const isUnrecoverable = end.type === "exited" && end.exitCode === terms.unrecoverableExitCode;
    const error = failureText(end, errorLines);
    return { type: "fail", error, recoverable: !isUnrecoverable };
  }

  function sayEnd(text: string): void {
    const span = formatSpan(performance.now() - startedMs);
    log.say(`run ${runId} of ${runtimeId}, attempt ${attempt}: ${text} after ${span}`);
  }

  async function report(verdict: RunVerdict): Promise<void> {
    const isLastLineResult = verdict.type === "complete" && !terms.usesResultFile;
    await feed.finish(isLastLineResult);
    sayEnd(endText(await reportRun(connection, assignment, verdict, signal)));
  }

  /** Runs the command and says what is to be reported; nothing when the run is lost. */
  async function runToVerdict(): Promise<RunVerdict | undefined> {
    const resultFile = terms.usesResultFile ? await makeResultFile() : undefined;
    try {
      const end = await runCommand(resultFile);
      if (isLost()) return undefined;
      if (end.type === "not_started") options.onNotStarted(end.problem);
      return await verdictOf(end, resultFile);
    } finally {
      await resultFile?.remove();
    }
  }

  function isLost(): boolean {
    return ending?.type === "lost";
  }

  async function live(): Promise<void> {
    if (!assignment.interruptRequested) await begun.promise;
    const isOver = assignment.interruptRequested || ending !== undefined;
    const early: RunVerdict = { type: ending?.type === "release" ? "release" : "cancel" };
    const verdict = isOver ? early : await runToVerdict();
    if (verdict !== undefined && !isLost()) {
      await report(verdict);
      return;
    }
    feed.cancel();
    sayEnd(`lost (${ending?.type === "lost" ? ending.reason : "unknown"})`);
  }

  /** What must never happen to a run, such as a full disk, is no failure of its inputs. */
  async function giveUp(error: unknown): Promise<void> {
    options.onNotStarted(error instanceof Error ? error.message : String(error));
    running?.kill();
    await report({ type: "release" });
  }

  function endCommand(how: Ending): void {
    // A run that is lost is not reported any more, whatever was meant to be said about it.
    if (ending === undefined || how.type === "lost") ending = how;
    running?.stop(terms.killAfterMs);
    begun.resolve();
  }

  return {
    begin: begun.resolve,
    interrupt: () => endCommand({ type: "interrupt" }),
    release: () => endCommand({ type: "release" }),
    lose: (reason) => endCommand({ type: "lost", reason }),
    kill: () => running?.kill(),
    ended: live().catch(giveUp),
  };
}
