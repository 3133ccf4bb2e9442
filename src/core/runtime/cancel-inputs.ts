/**
 * Cancelling inputs that wait: those that a caller names, one after the other, or every one from an
 * anchor on. Only what is queued is cancelled; what a run has claimed, and what is over, is told as
 * it is. Everything that one call cancels is one event, however much that is.
 */
import type { DecideContext, Decision, RecordLookup } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import type { InputId } from "../shared/ids.ts";
import type { CancelOutcome, CancelledSuffix, RuntimeCommand, RuntimeReply } from "./commands.ts";
import type { RuntimeEvent } from "./events.ts";
import { findHeader, type InputTarget, missingLookup } from "./input-target.ts";
import { headersOf } from "./lanes.ts";
import { unmetPrecondition } from "./lifecycle.ts";
import { type OrdinalRange, rangesHold, rangesOf } from "./ordinal-ranges.ts";
import { notRegistered, refused } from "./refusals.ts";
import type { InputHeader, RuntimeState } from "./state.ts";

type CancelCommand = Extract<RuntimeCommand, { readonly type: "cancel_inputs" }>;
type CancelReply = Extract<RuntimeReply, { readonly type: "inputs_cancelled" }>;
type Cancelled = Extract<RuntimeEvent, { readonly type: "inputs_cancelled" }>;

/** What is to be cancelled, and what the caller is told of all it named. */
interface Plan {
  readonly ordinals: readonly OrdinalRange[];
  readonly answer: Cancelled["answer"];
}

const ANCHOR_NOT_FOUND: Cancelled["answer"] = { type: "anchor_not_found" };

/** Inputs that must be looked up because the state may have forgotten them. */
export function cancelLookups(
  state: RuntimeState,
  command: CancelCommand,
): readonly RecordLookup[] {
  if (state.registration !== "registered") return [];
  const { selection } = command;
  const targets = selection.type === "targets" ? selection.targets : [selection.anchor];
  return targets.flatMap((target) => missingLookup(state, target) ?? []);
}

/** What a caller is told of an input that is not queued. */
function standing(header: InputHeader): CancelOutcome {
  const { inputId, outcome, lastRunId } = header;
  if (outcome?.type === "abandoned" && outcome.reason === "cancelled") {
    return { type: "already_cancelled", inputId };
  }
  if (outcome !== undefined) return { type: "already_completed", inputId, outcome };
  if (lastRunId === undefined) throw new FoldError(`input ${inputId} is claimed by no run`);
  return { type: "already_claimed", inputId, runId: lastRunId };
}

function planOfTargets(
  state: RuntimeState,
  targets: readonly InputTarget[],
  context: DecideContext,
): Plan {
  const cancelled = new Map<InputId, number>();
  const outcomes = targets.map((target): CancelOutcome => {
    const header = findHeader(state, target, context);
    if (header === undefined) return { type: "not_found" };
    const { inputId, ordinal } = header;
    if (cancelled.has(inputId)) return { type: "already_cancelled", inputId };
    if (header.state !== "queued") return standing(header);
    cancelled.set(inputId, ordinal);
    return { type: "cancelled", inputId };
  });
  return { ordinals: rangesOf(cancelled.values()), answer: { type: "targets", outcomes } };
}

function planOfSuffix(state: RuntimeState, anchor: InputTarget, context: DecideContext): Plan {
  const header = findHeader(state, anchor, context);
  if (header === undefined) return { ordinals: [], answer: ANCHOR_NOT_FOUND };
  const { ordinal: first } = header;
  const { run } = state;
  const queued = [...state.queueLane.keys(first), ...state.steerLane.keys(first)];
  const members = headersOf(state, run?.contributors ?? []).map(({ ordinal }) => ordinal);
  const claimed = rangesOf(members.filter((ordinal) => ordinal >= first));
  const suffix: CancelledSuffix = {
    anchorId: header.inputId,
    first,
    last: state.ordinal,
    ...(run === null || claimed.length === 0 ? {} : { claimed, claimedBy: run.runId }),
  };
  return { ordinals: rangesOf(queued), answer: { type: "suffix", suffix } };
}

/** What a call is told, from what it cancelled and what it met. */
export function cancelReply({ ordinals, answer }: Plan): CancelReply {
  return { type: "inputs_cancelled", ordinals, answer };
}

/** Decides cancel_inputs. */
export function decideCancelInputs(
  state: RuntimeState,
  command: CancelCommand,
  context: DecideContext,
): Decision<RuntimeEvent, RuntimeReply> {
  if (state.registration !== "registered") return refused(notRegistered(state));
  const unmet = unmetPrecondition(state, command);
  if (unmet !== undefined) return refused(unmet);
  const { selection, reason } = command;
  const plan =
    selection.type === "targets"
      ? planOfTargets(state, selection.targets, context)
      : planOfSuffix(state, selection.anchor, context);
  if (plan.ordinals.length === 0) return { kind: "answer", reply: cancelReply(plan) };
  const because = reason === undefined ? {} : { reason };
  return { kind: "commit", events: [{ type: "inputs_cancelled", ...plan, ...because }] };
}

/**
 * What a caller is told of an input of a suffix, from any later header of it: what was over by then
 * has not changed since.
 */
export function suffixOutcome(
  header: InputHeader,
  cancelled: readonly OrdinalRange[],
  { claimed = [], claimedBy }: CancelledSuffix,
): CancelOutcome {
  const { inputId, ordinal } = header;
  if (rangesHold(cancelled, ordinal)) return { type: "cancelled", inputId };
  const isClaimed = claimedBy !== undefined && rangesHold(claimed, ordinal);
  return isClaimed ? { type: "already_claimed", inputId, runId: claimedBy } : standing(header);
}
