/**
 * How a run fails or goes back, and when its inputs are tried again. A failed attempt counts: the
 * input waits before the next one and is given up at the runtime's limit (R6). A returned one does
 * not count.
 */
import type { DecideContext } from "../shared/aggregate.ts";
import type { InputId, TimeMs } from "../shared/ids.ts";
import type { Draft } from "./draft.ts";
import type { RuntimeEvent } from "./events.ts";
import { headersOf } from "./lanes.ts";
import type { Run, RuntimeConfig, RuntimeState } from "./state.ts";

type RunFailed = Extract<RuntimeEvent, { readonly type: "run_failed" }>;

/** Backoffs vary by this share in both directions. */
const JITTER_SHARE = 0.2;

/** How long the inputs of a failed attempt wait: doubling per attempt, capped, with jitter. */
export function backoffMs(
  config: Pick<RuntimeConfig, "retryBackoffInitialMs" | "retryBackoffMaxMs">,
  attempt: number,
  random: number,
): number {
  const doubled = config.retryBackoffInitialMs * 2 ** (Math.max(attempt, 1) - 1);
  const capped = Math.min(doubled, config.retryBackoffMaxMs);
  return Math.round(capped * (1 - JITTER_SHARE + 2 * JITTER_SHARE * random));
}

/** What becomes of the staged contributors of a failed run. */
interface StagedOutcome {
  readonly rolledBack: readonly InputId[];
  readonly abandoned: readonly InputId[];
  /** The highest attempt among the rolled back ones, this one included. */
  readonly attempt: number;
}

/** Splits the staged contributors by the attempt limit; `counts` tells that this attempt counts. */
export function splitByAttempts(state: RuntimeState, run: Run, counts: boolean): StagedOutcome {
  const rolledBack: InputId[] = [];
  const abandoned: InputId[] = [];
  let attempt = 1;
  for (const header of headersOf(state, run.staged)) {
    const attempts = header.attempts + (counts && !run.acknowledged ? 1 : 0);
    if (attempts >= state.config.attemptLimit) {
      abandoned.push(header.inputId);
    } else {
      rolledBack.push(header.inputId);
      attempt = Math.max(attempt, attempts);
    }
  }
  return { rolledBack, abandoned, attempt };
}

/** When the inputs of a failed attempt may be tried again. */
export function nextTryAt(state: RuntimeState, context: DecideContext, attempt: number): TimeMs {
  return context.now + backoffMs(state.config, attempt, context.random());
}

/** Why a run is lost without its executor saying so. */
export interface RunLoss {
  readonly cause: "lease" | "fence";
  readonly error: string;
  /** Given where nothing is to be tried again. */
  readonly abandonReason?: "stopped" | "destroyed";
}

function lostEvent(
  state: RuntimeState,
  run: Run,
  loss: RunLoss,
  context: DecideContext,
): RunFailed {
  const { cause, error, abandonReason } = loss;
  const facts = { type: "run_failed", runId: run.runId, error, cause, bodyHash: "" } as const;
  if (abandonReason !== undefined) {
    const outcome = { rolledBack: [], abandoned: run.staged, abandonReason, notBefore: 0 };
    return { ...facts, recoverable: false, ...outcome };
  }
  const { rolledBack, abandoned, attempt } = splitByAttempts(state, run, false);
  return {
    ...facts,
    recoverable: true,
    rolledBack,
    abandoned,
    abandonReason: "max_attempts_exhausted",
    // An operator who fences wants the work to go on; a lapse may be the input's own fault.
    notBefore: cause === "lease" ? nextTryAt(state, context, attempt) : 0,
  };
}

/** Emits the failure of the run in flight by a lapsed lease or a fence. */
export function emitRunLost(draft: Draft, context: DecideContext, loss: RunLoss): void {
  const state = draft.state();
  if (state.run !== null) draft.emit(lostEvent(state, state.run, loss, context));
}

/** Emits the uncounted return of the run in flight; nothing without one. */
export function emitRunReturned(
  draft: Draft,
  how: "released" | "taken_back",
  bodyHash: string,
): void {
  const { run } = draft.state();
  if (run === null) return;
  const { runId, staged: inputIds } = run;
  draft.emit({ type: "run_returned", runId, how, inputIds, notBefore: 0, bodyHash });
}
