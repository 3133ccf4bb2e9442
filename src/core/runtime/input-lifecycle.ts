/**
 * The life of one input. Owns which step may follow which; must not know lanes, runs or counts.
 * `accepted` and `applied` are passed through within one commit and never rest in a folded state.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import type { InputHeader, InputStateName, InputTransition, TerminalInputState } from "./state.ts";

/** What can happen to an input. */
export type InputLifecycleEvent =
  | "queue_accepted"
  | "consume_on_accept"
  | "stage_for_run"
  | "rollback_staged"
  | "mark_applied"
  | "mark_applied_pending_consumption"
  | "consume"
  | "supersede"
  | "coalesce"
  | "abandon";

/** One row of the table: from which states the step is legal and where it leads. */
export interface InputLifecycleStep {
  readonly from: readonly InputStateName[];
  readonly to: InputStateName;
}

/** Steps of a header's history that are kept; older ones are dropped, the journal has them all. */
export const TRANSITIONS_MAX = 64;

/** The machine: step, legal states before it, the state after it. */
export const INPUT_LIFECYCLE = {
  queue_accepted: { from: ["accepted"], to: "queued" },
  consume_on_accept: { from: ["accepted"], to: "consumed" },
  stage_for_run: { from: ["queued"], to: "staged" },
  rollback_staged: { from: ["staged"], to: "queued" },
  mark_applied: { from: ["staged"], to: "applied" },
  mark_applied_pending_consumption: { from: ["applied"], to: "applied_pending_consumption" },
  consume: { from: ["applied_pending_consumption"], to: "consumed" },
  supersede: { from: ["queued"], to: "superseded" },
  coalesce: { from: ["queued"], to: "coalesced" },
  abandon: {
    from: ["accepted", "queued", "staged", "applied", "applied_pending_consumption"],
    to: "abandoned",
  },
} as const satisfies Record<InputLifecycleEvent, InputLifecycleStep>;

const TERMINAL: Readonly<Record<TerminalInputState, true>> = {
  consumed: true,
  superseded: true,
  coalesced: true,
  abandoned: true,
};

/** Whether an input in this state is over. */
export function isTerminal(state: InputStateName): state is TerminalInputState {
  return state in TERMINAL;
}

/** Whether a step is legal in a state. */
export function canStep(state: InputStateName, cause: InputLifecycleEvent): boolean {
  const { from }: InputLifecycleStep = INPUT_LIFECYCLE[cause];
  return from.includes(state);
}

/** Fields of a header that a step may change besides state and history. */
export type HeaderChanges = Partial<
  Pick<
    InputHeader,
    | "attempts"
    | "notBefore"
    | "lastRunId"
    | "lastBoundarySequence"
    | "outcome"
    | "completedRevision"
  >
>;

/**
 * The header after the given steps, taken in order at one position of the stream. Throws FoldError
 * when a step is not legal: the history contradicts itself.
 */
export function advance(
  header: InputHeader,
  causes: readonly InputLifecycleEvent[],
  position: EventPosition,
  changes: HeaderChanges,
): InputHeader {
  const steps: InputTransition[] = [];
  let state = header.state;
  for (const cause of causes) {
    if (!canStep(state, cause)) {
      throw new FoldError(`input ${header.inputId}: ${cause} is not possible while ${state}`);
    }
    const { to } = INPUT_LIFECYCLE[cause];
    steps.push({ at: position.at, from: state, to, cause, revision: position.revision });
    state = to;
  }
  const kept = header.transitions.slice(-(TRANSITIONS_MAX - steps.length));
  return {
    ...header,
    ...changes,
    state,
    updatedAt: position.at,
    transitions: [...kept, ...steps],
  };
}
