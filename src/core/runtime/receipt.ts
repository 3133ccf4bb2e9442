/** The receipt that a committed boundary mints: durable proof of what was applied where in a run. */
import type { EventPosition } from "../shared/aggregate.ts";
import type { RuntimeEvent } from "./events.ts";
import type { Receipt } from "./state.ts";

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
