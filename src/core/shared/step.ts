/** The common shape of the sub-machines' tables: an event, the states it may follow, its result. */
import { FoldError } from "./fold-error.ts";

/** One row of a machine's table; `same` where the event changes something else than the state. */
export interface Step<State extends string> {
  readonly from: readonly State[];
  readonly to: State | "same";
}

/** Throws FoldError when an event cannot follow a state: the history contradicts itself. */
export function assertStep<State extends string>(
  step: Step<State>,
  state: State,
  event: string,
): void {
  if (!step.from.includes(state)) throw new FoldError(`${event} is not possible while ${state}`);
}
