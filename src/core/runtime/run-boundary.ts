/**
 * Boundaries of a run: contributors are applied under a receipt whose sequence is minted here, and
 * steer inputs that wait may join the run. A boundary names exactly what is staged, in order; a
 * later one may name nothing.
 */
import type { DecideContext, Decision } from "../shared/aggregate.ts";
import type { InputId } from "../shared/ids.ts";
import type { Refusal } from "../shared/refusal.ts";
import { BATCH_BYTES_MAX, BATCH_INPUTS_MAX, steerBatch } from "./batch.ts";
import type { BoundaryReport, RuntimeCommand, RuntimeReply } from "./commands.ts";
import type { RuntimeEvent } from "./events.ts";
import { contributorsMismatch } from "./refusals.ts";
import { nextSequence } from "./receipt.ts";
import { boundaryWithBody, endedRunOf, fence, repeated } from "./run-fence.ts";
import type { Run, RuntimeState } from "./state.ts";

type BoundaryCommitted = Extract<RuntimeEvent, { readonly type: "boundary_committed" }>;

/** Limits of what may join a run at one boundary. */
const STEER_LIMITS = { inputsMax: BATCH_INPUTS_MAX, bytesMax: BATCH_BYTES_MAX };

/** Why a boundary does not name what is staged; undefined when it does. */
export function boundaryMismatch(run: Run, named: readonly InputId[]): Refusal | undefined {
  const isLaterWithoutInputs = named.length === 0 && run.boundaries.length > 0;
  const isExact =
    named.length === run.staged.length &&
    named.every((inputId, index) => inputId === run.staged[index]);
  return isExact || isLaterWithoutInputs
    ? undefined
    : contributorsMismatch(run.staged.length, named.length);
}

/** The event of a boundary that names what is staged. */
export function boundaryEvent(
  state: RuntimeState,
  run: Run,
  report: BoundaryReport,
  steered: readonly InputId[],
  bodyHash: string,
): BoundaryCommitted {
  const { boundary, inputIds, conversationDigest, messageCount, sessionSnapshot } = report;
  return {
    type: "boundary_committed",
    runId: run.runId,
    sequence: nextSequence(run),
    receiptOrdinal: state.receiptCount + 1,
    boundary,
    inputIds,
    ...(conversationDigest === undefined ? {} : { conversationDigest }),
    messageCount,
    ...(sessionSnapshot === undefined ? {} : { sessionSnapshot }),
    steered,
    bodyHash,
  };
}

/** Decides commit_boundary. */
export function decideCommitBoundary(
  state: RuntimeState,
  command: Extract<RuntimeCommand, { readonly type: "commit_boundary" }>,
  context: DecideContext,
): Decision<RuntimeEvent, RuntimeReply> {
  const fenced = fence(state, command);
  const known = fenced.run ?? endedRunOf(state, command);
  const mark = known && boundaryWithBody(known.boundaries, command.bodyHash);
  if (mark !== undefined) return repeated(mark);
  if (fenced.run === undefined) return fenced.decision;
  const mismatch = boundaryMismatch(fenced.run, command.inputIds);
  if (mismatch !== undefined) return { kind: "refuse", refusal: mismatch };
  const steered = command.acceptSteer ? steerBatch(state, context.now, STEER_LIMITS) : [];
  const event = boundaryEvent(state, fenced.run, command, steered, command.bodyHash);
  return { kind: "commit", events: [event] };
}
