/**
 * How a run ends: completed, failed, cancelled, handed back or taken back. Contributors under a
 * receipt are consumed however it ends (R5); a pooled lease ends with the run unless the next run
 * starts in the same commit. Every ending repeated with the same body is answered as the first
 * time.
 */
import type { DecideContext, Decision } from "../shared/aggregate.ts";
import type { RuntimeCommand, RuntimeReply } from "./commands.ts";
import type { RefusalReason } from "../shared/refusal.ts";
import { openDraft } from "./draft.ts";
import type { RuntimeEvent } from "./events.ts";
import { evolve } from "./evolve.ts";
import { emitPooledRelease } from "./lease.ts";
import { contributorsNotApplied, refused } from "./refusals.ts";
import { boundaryEvent, boundaryMismatch } from "./run-boundary.ts";
import { endedRunOf, fence, fenceEnding, repeated } from "./run-fence.ts";
import { emitRunReturned, nextTryAt, splitByAttempts } from "./run-loss.ts";
import { emitRunStarted, nextRun } from "./run-start.ts";
import type { RuntimeState } from "./state.ts";

type CommandOf<Type extends RuntimeCommand["type"]> = Extract<
  RuntimeCommand,
  { readonly type: Type }
>;
type RuntimeDecision = Decision<RuntimeEvent, RuntimeReply>;

/** Refusals of a caller that holds nothing and never did. */
const UNKNOWN: readonly RefusalReason[] = ["RUNTIME_NOT_REGISTERED", "RUN_NOT_FOUND"];

/** Decides complete_run, with a last boundary and the next run where the call asks for them. */
export function decideCompleteRun(
  state: RuntimeState,
  command: CommandOf<"complete_run">,
  context: DecideContext,
): RuntimeDecision {
  const fenced = fenceEnding(state, command);
  if (fenced.run === undefined) return fenced.decision;
  const { run } = fenced;
  const { bodyHash, finalBoundary, outcome } = command;
  const draft = openDraft(state, context);
  if (finalBoundary !== undefined) {
    const mismatch = boundaryMismatch(run, finalBoundary.inputIds);
    if (mismatch !== undefined) return refused(mismatch);
    draft.emit(boundaryEvent(state, run, finalBoundary, [], bodyHash));
  }
  const staged = draft.state().run?.staged.length ?? 0;
  if (staged > 0) return refused(contributorsNotApplied(staged));
  const completed = { type: "run_completed", runId: run.runId, outcome, bodyHash } as const;
  const after = evolve(draft.state(), completed, {
    revision: context.revision,
    index: context.eventIndex,
    at: context.now,
  });
  const limits = { inputsMax: command.batchInputsMax, bytesMax: command.batchBytesMax };
  const next = command.takeNext ? nextRun(after, context, run.generation, limits) : undefined;
  draft.emit(next === undefined ? completed : { ...completed, nextRunId: next.runId });
  if (next !== undefined) emitRunStarted(draft, next);
  emitPooledRelease(draft);
  return draft.commit();
}

/** Decides fail_run: what is staged rolls back for another try, or is given up. */
export function decideFailRun(
  state: RuntimeState,
  command: CommandOf<"fail_run">,
  context: DecideContext,
): RuntimeDecision {
  const fenced = fenceEnding(state, command);
  if (fenced.run === undefined) return fenced.decision;
  const { run } = fenced;
  const { error, recoverable, bodyHash } = command;
  const split = splitByAttempts(state, run, true);
  const facts = { type: "run_failed", runId: run.runId, error, cause: "executor" } as const;
  const draft = openDraft(state, context);
  draft.emit({
    ...facts,
    recoverable,
    rolledBack: recoverable ? split.rolledBack : [],
    abandoned: recoverable ? split.abandoned : run.staged,
    abandonReason: recoverable ? "max_attempts_exhausted" : "run_failed",
    notBefore: recoverable ? nextTryAt(state, context, split.attempt) : 0,
    bodyHash,
  });
  emitPooledRelease(draft);
  return draft.commit();
}

/** Decides cancel_run: what is staged is given up, or queued again with the attempt returned. */
export function decideCancelRun(
  state: RuntimeState,
  command: CommandOf<"cancel_run">,
  context: DecideContext,
): RuntimeDecision {
  const fenced = fenceEnding(state, command);
  if (fenced.run === undefined) return fenced.decision;
  const { run } = fenced;
  const { requeue, bodyHash } = command;
  const draft = openDraft(state, context);
  draft.emit({
    type: "run_cancelled",
    runId: run.runId,
    requeue,
    inputIds: run.staged,
    notBefore: requeue ? nextTryAt(state, context, run.attempt) : 0,
    bodyHash,
  });
  emitPooledRelease(draft);
  return draft.commit();
}

/**
 * Decides release_run: the run goes back uncounted. Who holds it no more is told so, without an
 * error; a run that there never was, or a runtime that nobody knows, is refused.
 */
export function decideReleaseRun(
  state: RuntimeState,
  command: CommandOf<"release_run">,
  context: DecideContext,
): RuntimeDecision {
  const ended = endedRunOf(state, command);
  if (ended !== undefined && ended.bodyHash === command.bodyHash) return repeated(ended);
  const { run, decision } = fence(state, command);
  if (run === undefined) {
    const isUnknown = decision.kind === "refuse" && UNKNOWN.includes(decision.refusal.reason);
    return isUnknown ? decision : { kind: "answer", reply: { type: "released", released: false } };
  }
  const draft = openDraft(state, context);
  emitRunReturned(draft, "released", command.bodyHash);
  emitPooledRelease(draft);
  return draft.commit();
}

/** Decides a timer's tick: a run that nobody acknowledged in time is taken back uncounted. */
export function decideTick(
  state: RuntimeState,
  command: CommandOf<"tick">,
  context: DecideContext,
): RuntimeDecision {
  const { run } = state;
  const isOverdue =
    run !== null &&
    !run.acknowledged &&
    context.now >= run.startedAt + command.acknowledgeTimeoutMs;
  if (!isOverdue) return { kind: "answer", reply: { type: "ticked", at: context.now } };
  const draft = openDraft(state, context);
  emitRunReturned(draft, "taken_back", "");
  emitPooledRelease(draft);
  return draft.commit();
}
