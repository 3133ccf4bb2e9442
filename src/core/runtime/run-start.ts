/**
 * How a run starts: at an executor that holds the lease, or that gets it with the run. Decides the
 * assignment and its acknowledgement.
 */
import type { DecideContext, Decision } from "../shared/aggregate.ts";
import { type Generation, runIdOf } from "../shared/ids.ts";
import { type BatchLimits, hindranceOf, selectBatch } from "./batch.ts";
import type { RuntimeCommand, RuntimeReply, StartedRun } from "./commands.ts";
import { type Draft, openDraft } from "./draft.ts";
import type { RuntimeEvent } from "./events.ts";
import { holdsLease } from "./lease.ts";
import { leaseHeld, notRunnable, refused } from "./refusals.ts";
import { fence } from "./run-fence.ts";
import type { RuntimeState } from "./state.ts";

type CommandOf<Type extends RuntimeCommand["type"]> = Extract<
  RuntimeCommand,
  { readonly type: Type }
>;

/** The run that would start now under a generation; undefined when none can. */
export function nextRun(
  state: RuntimeState,
  context: DecideContext,
  generation: Generation,
  limits: BatchLimits,
): StartedRun | undefined {
  if (hindranceOf(state, context.now) !== undefined) return undefined;
  const inputIds = selectBatch(state, context.now, limits);
  return { runId: runIdOf(context.freshId()), generation, inputIds };
}

/** Emits the start of a run. */
export function emitRunStarted(draft: Draft, run: StartedRun): void {
  draft.emit({ type: "run_started", ...run });
}

/** Decides assign_run: a lease where the executor has none yet, and the run. */
export function decideAssignRun(
  state: RuntimeState,
  command: CommandOf<"assign_run">,
  context: DecideContext,
): Decision<RuntimeEvent, RuntimeReply> {
  const hindrance = hindranceOf(state, context.now);
  if (hindrance !== undefined) return refused(notRunnable(state, hindrance, context.now));
  const isHeld = holdsLease(state, command);
  if (state.lease !== null && !isHeld) return refused(leaseHeld(state));
  const generation = isHeld && state.lease !== null ? state.lease.generation : state.generation + 1;
  const limits = { inputsMax: command.batchInputsMax, bytesMax: command.batchBytesMax };
  const run = nextRun(state, context, generation, limits);
  if (run === undefined) return refused(notRunnable(state, { reason: "nothing_queued" }, 0));
  const draft = openDraft(state, context);
  if (!isHeld) {
    const { executorId, incarnationId, ttlMs } = command;
    draft.emit({
      type: "lease_granted",
      generation,
      executorId,
      incarnationId,
      ttlMs,
      named: false,
    });
  }
  emitRunStarted(draft, run);
  return draft.commit();
}

/** Decides acknowledge_run; a second acknowledgement changes nothing. */
export function decideAcknowledgeRun(
  state: RuntimeState,
  command: CommandOf<"acknowledge_run">,
): Decision<RuntimeEvent, RuntimeReply> {
  const fenced = fence(state, command);
  if (fenced.run === undefined) return fenced.decision;
  return fenced.run.acknowledged
    ? { kind: "answer", reply: { type: "acknowledged" } }
    : { kind: "commit", events: [{ type: "run_acknowledged", runId: fenced.run.runId }] };
}
