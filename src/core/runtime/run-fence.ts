/**
 * Who may write to a run: the executor that holds it, proven by run id and generation (R10). A call
 * that was committed before is recognised by its body and answered as the first time.
 */
import type { Decision } from "../shared/aggregate.ts";
import type { Generation, RunId } from "../shared/ids.ts";
import type { RuntimeReply } from "./commands.ts";
import type { RuntimeEvent } from "./events.ts";
import { leaseLost, notRegistered, refused, runEnded, runNotFound } from "./refusals.ts";
import type { BoundaryMark, EndedRun, Run, RuntimeState } from "./state.ts";

/** What an executor's write says about itself. */
export interface RunClaim {
  readonly runId: RunId;
  readonly generation: Generation;
}

/** Either the run in flight, which the caller holds, or the decision that answers the call. */
export type Fenced =
  | { readonly run: Run; readonly decision?: undefined }
  | { readonly run?: undefined; readonly decision: Decision<RuntimeEvent, RuntimeReply> };

/** Ends of a run that its executor brought about, or could know of. */
const ENDED_BY_EXECUTOR: readonly EndedRun["how"][] = [
  "completed",
  "failed",
  "cancelled",
  "released",
];

/** The ended run that a claim is about, if it is still remembered. */
export function endedRunOf(state: RuntimeState, claim: RunClaim): EndedRun | undefined {
  return state.endedRuns.find(
    (ended) => ended.runId === claim.runId && ended.generation === claim.generation,
  );
}

/** Repeats the answer of the commit that a mark stands for. */
export function repeated(mark: {
  readonly revision: number;
  readonly bodyHash: string;
}): Decision<RuntimeEvent, RuntimeReply> {
  return { kind: "repeat", revision: mark.revision, bodyHash: mark.bodyHash };
}

/** The boundary that was committed with the same body, if there is one. */
export function boundaryWithBody(
  boundaries: readonly BoundaryMark[],
  bodyHash: string,
): BoundaryMark | undefined {
  return boundaries.find((mark) => mark.bodyHash === bodyHash);
}

/** Fences a claim: the run it holds, or the refusal that says why it holds none. */
export function fence(state: RuntimeState, claim: RunClaim): Fenced {
  if (state.registration !== "registered") return { decision: refused(notRegistered(state)) };
  const { run, lease } = state;
  if (run !== null && run.runId === claim.runId && run.generation === claim.generation) {
    return { run };
  }
  const ended = endedRunOf(state, claim);
  const holdsLease = lease?.generation === claim.generation;
  if (ended !== undefined && (holdsLease || ENDED_BY_EXECUTOR.includes(ended.how))) {
    return { decision: refused(runEnded(ended)) };
  }
  return {
    decision: refused(
      holdsLease ? runNotFound(state, claim.runId) : leaseLost(state, claim.generation),
    ),
  };
}

/** Fences a call that ends a run; the call that ended it is answered again. */
export function fenceEnding(
  state: RuntimeState,
  claim: RunClaim & { readonly bodyHash: string },
): Fenced {
  const ended = endedRunOf(state, claim);
  const isRepeated = ended !== undefined && ended.bodyHash === claim.bodyHash;
  return isRepeated ? { decision: repeated(ended) } : fence(state, claim);
}
