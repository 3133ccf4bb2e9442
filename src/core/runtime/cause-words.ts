/** Causes in words for people: what holds the runtime up, and what would help. */
import type { Cause } from "./explain.ts";

/** A cause in words. */
export interface CauseWords {
  readonly summary: string;
  /** What would end it, or that nothing needs to be done. */
  readonly remedy: string;
}

const LATER = "nothing to do: it goes on by itself";

function busyText(executors: number): string {
  if (executors === 1) return "the only executor of the pool takes no run now";
  return `none of the ${executors} executors of the pool takes a run now`;
}

function notWokenText(queued: number): string {
  if (queued === 1) return "an input is queued that woke nobody";
  return `${queued} inputs are queued that woke nobody`;
}

/** What a cause says to people; names and times stand beside it. */
export function wordsOf(cause: Cause): CauseWords {
  switch (cause.type) {
    case "unregistered":
      return { summary: "the runtime is not registered", remedy: "EnsureRuntime brings it back" };
    case "destroyed":
      return { summary: "the runtime was destroyed", remedy: "none: take another runtime" };
    case "stopped":
      return { summary: "the runtime was stopped", remedy: "Reset brings it back, without inputs" };
    case "run_unacknowledged":
      return {
        summary: "a run is assigned, and its executor has not shown yet that it has it",
        remedy: "nothing to do: it is taken back when the time is up",
      };
    case "run_in_flight":
      return {
        summary: `a run is in flight, attempt ${cause.attempt}`,
        remedy: "wait for it, InterruptRun, or Recover with fence_executor",
      };
    case "interrupt_pending":
      return {
        summary: "the end of the run was asked for, and the executor has not ended it",
        remedy: "wait, or Recover with fence_executor",
      };
    case "retired":
      return { summary: "the intake is closed: retired", remedy: "Recycle opens it again" };
    case "intake_full":
      return {
        summary: `the queue is full: ${cause.queued} of ${cause.limit}`,
        remedy: "serve it faster, cancel inputs, or raise queue_limit by EnsureRuntime",
      };
    case "nothing_queued":
      return { summary: "nothing is queued", remedy: "Ingest an input" };
    case "backing_off":
      return {
        summary: `the head of the ${cause.lane} lane waits after attempt ${cause.attempts}`,
        remedy: LATER,
      };
    case "not_woken":
      return {
        summary: notWokenText(cause.queued),
        remedy: "an input that wakes takes them along; Recycle wakes the runtime",
      };
    case "lease_held":
      return {
        summary: "one executor holds the runtime by name, nobody else may run it",
        remedy: "let it Detach, or Recover with fence_executor",
      };
    case "lease_lapsing":
      return {
        summary: "the executor that holds the runtime stopped renewing its lease",
        remedy: LATER,
      };
    case "no_executor":
      return {
        summary: "no executor is attached to the runtime's pool",
        remedy: "attach one, or put the runtime into a pool that is served",
      };
    case "executors_busy":
      return {
        summary: busyText(cause.executors),
        remedy: "wait, attach more, or give them more slots",
      };
    case "awaiting_assignment":
      return {
        summary: "a run can start, and waits for an executor to take it",
        remedy: "nothing to do: it is assigned as soon as one has room",
      };
  }
}
