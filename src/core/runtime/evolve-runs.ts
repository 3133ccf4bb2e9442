/**
 * How runs change the state: at most one is in flight (R3), contributors under a receipt are
 * consumed however it ends (R4, R5), an attempt counts from the acknowledgement on (R6). Must not
 * decide anything: the events say what happened, an impossible one throws FoldError.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import type { InputId, RunId } from "../shared/ids.ts";
import type { RuntimeEvent } from "./events.ts";
import { abandonedHeader } from "./evolve-inputs.ts";
import { advance } from "./input-lifecycle.ts";
import { headerOf, headersOf, queuedCount, settledIfEmpty, withHeaders, woken } from "./lanes.ts";
import { receiptOf } from "./receipt.ts";
import type { EndedRun, InputHeader, Run, RuntimeState } from "./state.ts";

type EventOf<Type extends RuntimeEvent["type"]> = Extract<RuntimeEvent, { readonly type: Type }>;

/** Ended runs that are remembered for repeated calls. */
const ENDED_RUNS_MAX = 8;
/** Boundaries of a run that are remembered for repeated calls. */
const BOUNDARY_MARKS_MAX = 64;

/** The run in flight that an event names. Throws FoldError when there is none or another one. */
function runOf(state: RuntimeState, event: { readonly type: string; readonly runId: RunId }): Run {
  const { run } = state;
  if (run === null || run.runId !== event.runId) {
    throw new FoldError(`${event.type} names run ${event.runId}, which is not in flight`);
  }
  return run;
}

function mostAttempts(headers: readonly InputHeader[]): number {
  return headers.reduce((most, header) => Math.max(most, header.attempts), 0);
}

/** The state with a new run in flight; the wake flag is spent. */
export function foldRunStarted(
  state: RuntimeState,
  event: EventOf<"run_started">,
  position: EventPosition,
): RuntimeState {
  const { runId, generation, inputIds } = event;
  if (state.lease?.generation !== generation) {
    throw new FoldError(`run ${runId} starts under generation ${generation}, which holds no lease`);
  }
  const queued = headersOf(state, inputIds);
  const staged = queued.map((header) =>
    advance(header, ["stage_for_run"], position, { lastRunId: runId, notBefore: 0 }),
  );
  const run: Run = {
    runId,
    generation,
    startedAt: position.at,
    startedRevision: position.revision,
    attempt: 1 + mostAttempts(queued),
    acknowledged: false,
    contributors: inputIds,
    staged: inputIds,
    boundaries: [],
    interruptedAt: null,
  };
  return { ...withHeaders(state, staged), run, wake: false };
}

/** The state with the attempt counted, once per run. */
export function foldAcknowledged(
  state: RuntimeState,
  event: { readonly type: string; readonly runId: RunId },
): RuntimeState {
  const run = runOf(state, event);
  if (run.acknowledged) return state;
  const counted = headersOf(state, run.staged).map((header) => ({
    ...header,
    attempts: header.attempts + 1,
  }));
  return { ...withHeaders(state, counted), run: { ...run, acknowledged: true } };
}

/** The state with a receipt minted, its contributors applied, and steer inputs joining the run. */
export function foldBoundary(
  before: RuntimeState,
  event: EventOf<"boundary_committed">,
  position: EventPosition,
): RuntimeState {
  const state = foldAcknowledged(before, event);
  const run = runOf(state, event);
  const receipt = receiptOf(event, position);
  if (receipt.ordinal !== state.receiptCount + 1) {
    throw new FoldError(`receipt ${receipt.ordinal} is out of order`);
  }
  const applied = headersOf(state, event.inputIds).map((header) =>
    appliedHeader(header, run.runId, event.sequence, position),
  );
  const joined = headersOf(state, event.steered).map((header) =>
    advance(header, ["stage_for_run"], position, {
      attempts: header.attempts + 1,
      lastRunId: run.runId,
      notBefore: 0,
    }),
  );
  const named = new Set(event.inputIds);
  const mark = {
    sequence: event.sequence,
    revision: position.revision,
    bodyHash: event.bodyHash,
  };
  return {
    ...withHeaders(state, [...applied, ...joined]),
    run: {
      ...run,
      attempt: Math.max(run.attempt, mostAttempts(joined)),
      contributors: [...run.contributors, ...event.steered],
      staged: [...run.staged.filter((inputId) => !named.has(inputId)), ...event.steered],
      boundaries: [...run.boundaries, mark].slice(-BOUNDARY_MARKS_MAX),
    },
    receipts: state.receipts.with(receipt.ordinal, receipt),
    receiptCount: receipt.ordinal,
    sessionSnapshot: snapshotAfter(state, event, position),
  };
}

function snapshotAfter(
  state: RuntimeState,
  event: EventOf<"boundary_committed">,
  { revision }: EventPosition,
): RuntimeState["sessionSnapshot"] {
  const { sessionSnapshot: digest, runId, sequence } = event;
  return digest === undefined ? state.sessionSnapshot : { digest, runId, sequence, revision };
}

function appliedHeader(
  header: InputHeader,
  runId: RunId,
  sequence: number,
  position: EventPosition,
): InputHeader {
  if (header.lastRunId !== runId) {
    throw new FoldError(`input ${header.inputId} is not a member of run ${runId}`);
  }
  return advance(header, ["mark_applied", "mark_applied_pending_consumption"], position, {
    lastBoundarySequence: sequence,
  });
}

/** How a run ended, for the memory of ended runs. */
interface RunEnd {
  readonly how: EndedRun["how"];
  readonly bodyHash: string;
  readonly nextRunId?: RunId;
}

/**
 * The state without the run: contributors under a receipt are consumed, the staged ones become what
 * `settled` says, and anything queued wakes the runtime.
 */
function endRun(
  state: RuntimeState,
  run: Run,
  settled: readonly InputHeader[],
  end: RunEnd,
  position: EventPosition,
): RuntimeState {
  const staged = new Set(run.staged);
  if (settled.length !== staged.size) {
    throw new FoldError(`run ${run.runId} ends with ${settled.length} of ${staged.size} staged`);
  }
  const consumed = run.contributors
    .filter((inputId) => !staged.has(inputId))
    .map((inputId) =>
      advance(headerOf(state, inputId), ["consume"], position, {
        outcome: { type: "consumed", runId: run.runId },
        completedRevision: position.revision,
      }),
    );
  const ended: EndedRun = {
    runId: run.runId,
    generation: run.generation,
    revision: position.revision,
    boundaries: run.boundaries,
    ...end,
  };
  const next: RuntimeState = {
    ...withHeaders(state, [...consumed, ...settled]),
    run: null,
    endedRuns: [ended, ...state.endedRuns].slice(0, ENDED_RUNS_MAX),
  };
  return queuedCount(next) > 0 ? woken(next, position.at) : settledIfEmpty(next);
}

/** Staged headers back in their lane; `attemptChange` is -1 where the attempt is given back. */
function rolledBack(
  state: RuntimeState,
  inputIds: readonly InputId[],
  notBefore: number,
  attemptChange: 0 | -1,
  position: EventPosition,
): readonly InputHeader[] {
  return headersOf(state, inputIds).map((header) =>
    advance(header, ["rollback_staged"], position, {
      attempts: header.attempts + attemptChange,
      notBefore,
    }),
  );
}

/** The state after a run that completed. */
export function foldRunCompleted(
  before: RuntimeState,
  event: EventOf<"run_completed">,
  position: EventPosition,
): RuntimeState {
  const state = foldAcknowledged(before, event);
  const { bodyHash, nextRunId } = event;
  const next = nextRunId === undefined ? {} : { nextRunId };
  return endRun(state, runOf(state, event), [], { how: "completed", bodyHash, ...next }, position);
}

const HOW_FAILED = { executor: "failed", lease: "lapsed", fence: "fenced" } as const;

/** The state after a run that failed, by its executor, by a lapsed lease or by a fence. */
export function foldRunFailed(
  before: RuntimeState,
  event: EventOf<"run_failed">,
  position: EventPosition,
): RuntimeState {
  const state = event.cause === "executor" ? foldAcknowledged(before, event) : before;
  const settled = [
    ...rolledBack(state, event.rolledBack, event.notBefore, 0, position),
    ...headersOf(state, event.abandoned).map((header) =>
      abandonedHeader(header, event.abandonReason, position),
    ),
  ];
  const end = { how: HOW_FAILED[event.cause], bodyHash: event.bodyHash };
  return endRun(state, runOf(state, event), settled, end, position);
}

/** The state after a run that its executor cancelled. */
export function foldRunCancelled(
  before: RuntimeState,
  event: EventOf<"run_cancelled">,
  position: EventPosition,
): RuntimeState {
  const state = foldAcknowledged(before, event);
  const settled = event.requeue
    ? rolledBack(state, event.inputIds, event.notBefore, -1, position)
    : headersOf(state, event.inputIds).map((header) =>
        abandonedHeader(header, "cancelled", position),
      );
  const end = { how: "cancelled", bodyHash: event.bodyHash } as const;
  return endRun(state, runOf(state, event), settled, end, position);
}

/** The state after a run that was handed back or taken back; the attempt does not count. */
export function foldRunReturned(
  state: RuntimeState,
  event: EventOf<"run_returned">,
  position: EventPosition,
): RuntimeState {
  const run = runOf(state, event);
  const attemptChange = run.acknowledged ? -1 : 0;
  const settled = rolledBack(state, event.inputIds, event.notBefore, attemptChange, position);
  const end = { how: event.how, bodyHash: event.bodyHash };
  return endRun(state, run, settled, end, position);
}

/** The state with the executor asked to end the run. */
export function foldRunInterrupted(
  state: RuntimeState,
  event: EventOf<"run_interrupted">,
  position: EventPosition,
): RuntimeState {
  return { ...state, run: { ...runOf(state, event), interruptedAt: position.at } };
}
