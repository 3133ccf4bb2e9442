/**
 * What a waiter of an input is told. A completion is never stored: it follows from the input's
 * header and the events of the commit that settled it, so it can be given again at any time.
 */
import type { InputId } from "../shared/ids.ts";
import type { Json } from "../shared/json.ts";
import { consumedByEnd } from "./envelopes.ts";
import type { RuntimeEvent } from "./events.ts";
import { laneOfPolicy, policyOf } from "./policy.ts";
import type { RunResult } from "./input.ts";
import { liveInputIds } from "./lanes.ts";
import { inputIdsIn, rangesHold } from "./ordinal-ranges.ts";
import type { AbandonReason, InputHeader, InputStateName, RuntimeState } from "./state.ts";

/** By what a runtime was taken away from those who wait for its inputs. */
export type TerminationReason = "retired" | "reset" | "stopped" | "destroyed" | "unregistered";

/** Why an input was given up while its runtime went on. */
export type AbandonedReason = Exclude<AbandonReason, TerminationReason>;

/** What a waiter of an input is told. */
export type InputCompletion =
  | { readonly type: "completed"; readonly result: RunResult }
  | { readonly type: "completed_without_result" }
  | { readonly type: "callback_pending"; readonly toolName: string; readonly args: Json }
  | {
      readonly type: "abandoned";
      readonly reason: AbandonedReason;
      readonly attempts: number;
      /** The error of the last run, or why it was cancelled, where that is known. */
      readonly detail?: string;
    }
  | { readonly type: "superseded"; readonly supersededBy: InputId }
  | { readonly type: "coalesced"; readonly aggregateId: InputId }
  | { readonly type: "runtime_terminated"; readonly reason: TerminationReason }
  | { readonly type: "pending"; readonly state: InputStateName };

function consumedCompletion(
  runId: string | undefined,
  events: readonly RuntimeEvent[],
): InputCompletion {
  for (const event of events) {
    if (event.type !== "run_completed" || event.runId !== runId) continue;
    const { outcome } = event;
    if (outcome.type === "result") return { type: "completed", result: outcome.result };
    if (outcome.type === "callback_pending") return outcome;
  }
  return { type: "completed_without_result" };
}

/** What more is known of why an input was given up. */
function detailOf(
  header: InputHeader,
  events: readonly RuntimeEvent[],
): { readonly detail?: string } {
  for (const event of events) {
    if (event.type === "run_failed" && event.abandoned.includes(header.inputId)) {
      return { detail: event.error };
    }
    if (event.type === "inputs_cancelled" && rangesHold(event.ordinals, header.ordinal)) {
      return event.reason === undefined ? {} : { detail: event.reason };
    }
  }
  return {};
}

function abandonedCompletion(
  header: InputHeader,
  reason: AbandonReason,
  attempts: number,
  events: readonly RuntimeEvent[],
): InputCompletion {
  switch (reason) {
    case "retired":
    case "reset":
    case "stopped":
    case "destroyed":
      return { type: "runtime_terminated", reason };
    case "cancelled":
    case "run_failed":
    case "max_attempts_exhausted":
      return { type: "abandoned", reason, attempts, ...detailOf(header, events) };
  }
}

/**
 * The completion of an input, from its header and the events of the commit at its
 * `completedRevision`; `pending` while it is not over.
 */
export function completionOf(
  header: InputHeader,
  events: readonly RuntimeEvent[],
): InputCompletion {
  const { outcome } = header;
  if (outcome === undefined) return { type: "pending", state: header.state };
  switch (outcome.type) {
    case "consumed":
      return consumedCompletion(outcome.runId, events);
    case "superseded":
    case "coalesced":
      return outcome;
    case "abandoned":
      return abandonedCompletion(header, outcome.reason, outcome.attempts, events);
  }
}

/** The inputs that an event settles: their waiters are answered in the same commit. */
export function settledInputs(before: RuntimeState, event: RuntimeEvent): readonly InputId[] {
  switch (event.type) {
    case "input_admitted": {
      const isQueued = laneOfPolicy(policyOf(event.policy)) !== undefined;
      return isQueued ? [] : [event.input.inputId];
    }
    case "input_superseded":
    case "input_coalesced":
      return [event.inputId];
    case "run_completed":
    case "run_returned":
      return consumedByEnd(before);
    case "run_failed":
      return [...consumedByEnd(before), ...event.abandoned];
    case "run_cancelled":
      return [...consumedByEnd(before), ...(event.requeue ? [] : event.inputIds)];
    case "queue_abandoned":
      return liveInputIds(before);
    case "inputs_cancelled":
      return inputIdsIn(before, event.ordinals);
    default:
      return [];
  }
}

/**
 * The completion that an event gives to every waiter of an input that is not over; undefined for
 * other events. The inputs stay: a later wait on them is pending again.
 */
export function waitsEndedBy(event: RuntimeEvent): InputCompletion | undefined {
  return event.type === "runtime_unregistered"
    ? { type: "runtime_terminated", reason: "unregistered" }
    : undefined;
}
