/**
 * Holds a run that this process took with its input: the command works under a lease that is
 * renewed until the end of the run is reported.
 */
import { create } from "@bufbuild/protobuf";
import {
  AppendRole,
  type RunAssignment,
  RunAssignmentSchema,
} from "../../../gen/keelson/executor/v1/messages_pb.ts";
import type { TakenRun } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import type { Connection } from "../client/connection.ts";
import { failureOf } from "../client/failure.ts";
import { type HeldRun, holdRun, type RunTerms } from "../worker/held-run.ts";
import { makeRenewals } from "../worker/renewals.ts";
import { makeWorkerLog } from "../worker/worker-log.ts";

/** Time for the call that gives the lease back. */
const FAREWELL_MS = 5_000;

/** A run that was taken, and by whom. */
export interface Taking {
  readonly connection: Connection;
  readonly executorId: string;
  readonly incarnationId: string;
  readonly run: TakenRun;
  readonly terms: RunTerms;
  readonly leaseTtlMs: number;
  /** Monotonic time when the call was sent that took the run. */
  readonly sentMs: number;
}

/** How the work on a run ended. */
export interface TakenRunEnd {
  /** Why the command could not be started; absent when it was. */
  readonly problem?: string;
}

function contentOf({ content: blocks }: TakenRun) {
  const text = blocks.length === 1 ? blocks[0]?.block : undefined;
  if (text?.case === "text") return { case: "text", value: text.value.text } as const;
  return { case: "blocks", value: { blocks } } as const;
}

/** The run as executors know it. */
function assignmentOf(run: TakenRun): RunAssignment {
  const { boundary, stagedInputIds, turnMetadata, sessionSnapshot } = run;
  const append = { role: AppendRole.USER, content: { content: contentOf(run) } };
  return create(RunAssignmentSchema, {
    runtimeId: run.runtimeId,
    runId: run.runId,
    generation: run.generation,
    attempt: run.attempt,
    primitive: {
      boundary,
      appends: run.content.length === 0 ? [] : [append],
      contributingInputIds: stagedInputIds,
      ...(turnMetadata === undefined ? {} : { turnMetadata }),
    },
    traceParent: run.traceParent,
    epochId: run.epochId,
    ...(run.startedAt === undefined ? {} : { startedAt: run.startedAt }),
    stagedInputIds,
    ...(sessionSnapshot === undefined ? {} : { sessionSnapshot }),
  });
}

/** Ctrl-C cancels the run, SIGTERM hands it back; a second signal kills the command. */
function obeySignals(run: HeldRun): () => void {
  let isEnding = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isEnding) run.kill();
    else if (signal === "SIGINT") run.interrupt();
    else run.release();
    isEnding = true;
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return () => process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
}

/** Ends the incarnation; a lease that is not given back lapses by itself. */
async function detach({ connection, executorId, incarnationId }: Taking): Promise<void> {
  const terms = { timeoutMs: FAREWELL_MS };
  await connection.executors.detach({ executorId, incarnationId }, terms).catch(failureOf);
}

/** Runs the command and reports how the run ended. */
export async function workOn(taking: Taking): Promise<TakenRunEnd> {
  const { connection, executorId, incarnationId, terms } = taking;
  const assignment = assignmentOf(taking.run);
  const { runId } = assignment;
  const over = new AbortController();
  let problem: string | undefined;
  const run = holdRun({
    connection,
    assignment,
    terms,
    log: makeWorkerLog(),
    signal: over.signal,
    onNotStarted: (text) => {
      problem ??= text;
    },
  });
  const renewals = makeRenewals({
    connection,
    executorId,
    incarnationId,
    heldRunIds: () => [runId],
    onRenewed: ({ unknownRunIds, lost }) => {
      const isLost = unknownRunIds.includes(runId) || lost.some((loss) => loss.runId === runId);
      if (isLost) run.lose("not this executor's any more");
      else run.begin();
    },
    onDead: () => run.lose("its lease lapsed"),
    signal: over.signal,
  });
  renewals.confirm(taking.sentMs);
  renewals.setTtl(taking.leaseTtlMs);
  if (renewals.isFresh()) run.begin();
  const ignoreSignals = obeySignals(run);
  await run.ended;
  over.abort();
  ignoreSignals();
  await detach(taking);
  return problem === undefined ? {} : { problem };
}
