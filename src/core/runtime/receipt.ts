/**
 * The receipt that a committed boundary mints: durable proof of what was applied where in a run.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import type { RuntimeEvent } from "./events.ts";
import type { Receipt, Run } from "./state.ts";

/** Sequence of the next receipt of a run, from 0 without gaps. */
export function nextSequence(run: Run): number {
  const last = run.boundaries.at(-1);
  return last === undefined ? 0 : last.sequence + 1;
}

/** The receipt of a boundary event at its place in the stream. */
export function receiptOf(
  event: Extract<RuntimeEvent, { readonly type: "boundary_committed" }>,
  position: EventPosition,
): Receipt {
  const { conversationDigest } = event;
  return {
    ordinal: event.receiptOrdinal,
    runId: event.runId,
    sequence: event.sequence,
    boundary: event.boundary,
    contributors: event.inputIds,
    ...(conversationDigest === undefined ? {} : { conversationDigest }),
    messageCount: event.messageCount,
    revision: position.revision,
    mintedAt: position.at,
  };
}
