// Judges the books of a runtime once all is quiet: what was accepted is somewhere, nothing is left
// over, no input had more attempts than it may, and the hash chain holds.
import type { FinalCounts, FinalInput, FinalRuntime } from "./history.ts";
import type { Blame } from "./violation.ts";

function countedBy(inputs: readonly FinalInput[]): FinalCounts {
  const having = (state: FinalInput["state"]): number =>
    inputs.filter((input) => input.state === state).length;
  return {
    accepted: inputs.length,
    consumed: having("consumed"),
    superseded: having("superseded"),
    coalesced: having("coalesced"),
    abandoned: having("abandoned"),
    live: having("live"),
  };
}

/** Judges the totals of one runtime. */
export function judgeTotals(runtime: FinalRuntime, blame: Blame): void {
  const { counts, inputs, events, attemptLimit } = runtime;
  const { accepted, consumed, superseded, coalesced, abandoned, live } = counts;
  if (accepted !== consumed + superseded + coalesced + abandoned + live) {
    blame("counts_differ", `the counts do not add up: ${JSON.stringify(counts)}`);
  }
  const listed = countedBy(inputs);
  if (JSON.stringify(listed) !== JSON.stringify(counts)) {
    blame("counts_differ", `counts ${JSON.stringify(counts)}, listed ${JSON.stringify(listed)}`);
  }
  const admissions = events.filter((event) => event.eventCode === "input.accepted").length;
  if (admissions !== accepted) blame("counts_differ", `${admissions} admissions in the events`);
  for (const input of inputs) {
    if (input.state === "live") blame("input_not_finished", input.inputId);
    if (input.attemptCount > attemptLimit) {
      blame("attempts_exceeded", `${input.inputId}: ${input.attemptCount} of ${attemptLimit}`);
    }
  }
  if (!runtime.isVerified) blame("chain_broken", `up to revision ${runtime.revision}`);
}
