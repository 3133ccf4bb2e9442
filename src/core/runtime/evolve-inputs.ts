/**
 * How admissions, supersessions and mass abandonment change the state. Must not decide anything:
 * the events say what happened, an impossible one throws FoldError.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import { admittedHeader } from "./input-header.ts";
import type { RuntimeEvent } from "./events.ts";
import { advance } from "./input-lifecycle.ts";
import {
  headerOf,
  headersOf,
  liveInputIds,
  settledIfEmpty,
  withAdmitted,
  withHeaders,
  woken,
} from "./lanes.ts";
import { inputIdsIn } from "./ordinal-ranges.ts";
import type { AbandonReason, InputHeader, RuntimeState } from "./state.ts";
import { FoldError } from "../shared/fold-error.ts";

type EventOf<Type extends RuntimeEvent["type"]> = Extract<RuntimeEvent, { readonly type: Type }>;

/** The state with a newly admitted input in its lane, or consumed on accept. */
export function foldAdmission(
  state: RuntimeState,
  event: EventOf<"input_admitted">,
  position: EventPosition,
): RuntimeState {
  const header = admittedHeader(event, position);
  const { inputId, ordinal } = header;
  if (state.inputs.has(inputId)) throw new FoldError(`input ${inputId} was admitted before`);
  if (ordinal !== state.ordinal + 1) throw new FoldError(`ordinal ${ordinal} is out of order`);
  const admitted = withAdmitted(state, header);
  return event.wakes ? woken(admitted, position.at) : admitted;
}

/** The state with a queued input replaced by a later one. */
export function foldSupersession(
  state: RuntimeState,
  event: EventOf<"input_superseded"> | EventOf<"input_coalesced">,
  position: EventPosition,
): RuntimeState {
  const header = headerOf(state, event.inputId);
  const completedRevision = position.revision;
  const changed =
    event.type === "input_superseded"
      ? advance(header, ["supersede"], position, {
          outcome: { type: "superseded", supersededBy: event.supersededBy },
          completedRevision,
        })
      : advance(header, ["coalesce"], position, {
          outcome: { type: "coalesced", aggregateId: event.aggregateId },
          completedRevision,
        });
  return settledIfEmpty(withHeaders(state, [changed]));
}

/** A header given up for a reason. */
export function abandonedHeader(
  header: InputHeader,
  reason: AbandonReason,
  position: EventPosition,
): InputHeader {
  return advance(header, ["abandon"], position, {
    outcome: { type: "abandoned", reason, attempts: header.attempts },
    completedRevision: position.revision,
    notBefore: 0,
  });
}

/** The state with every input that is not over given up. */
export function foldQueueAbandoned(
  state: RuntimeState,
  event: EventOf<"queue_abandoned">,
  position: EventPosition,
): RuntimeState {
  if (state.run !== null) throw new FoldError("a queue is not abandoned while a run is in flight");
  const abandoned = liveInputIds(state).map((inputId) =>
    abandonedHeader(headerOf(state, inputId), event.reason, position),
  );
  return settledIfEmpty(withHeaders(state, abandoned));
}

/** The state with queued inputs cancelled. */
export function foldInputsCancelled(
  state: RuntimeState,
  event: EventOf<"inputs_cancelled">,
  position: EventPosition,
): RuntimeState {
  const cancelled = headersOf(state, inputIdsIn(state, event.ordinals)).map((header) => {
    if (header.state === "queued") return abandonedHeader(header, "cancelled", position);
    throw new FoldError(`input ${header.inputId} is cancelled while ${header.state}`);
  });
  return settledIfEmpty(withHeaders(state, cancelled));
}
