/**
 * The folded state as JSON and back, for checkpoints. Replay keys follow from the headers and are
 * rebuilt; a checkpoint of another fold version is never read.
 */
import type { Json } from "../shared/json.ts";
import type { SessionId } from "../shared/ids.ts";
import { orderedMapOf } from "../shared/ordered-map.ts";
import type {
  EventHeader,
  EventTypeCount,
  HolderMark,
  PendingWake,
  ProcessState,
} from "./state.ts";

type MapMember = "holders" | "typeCounts" | "events" | "replayKeys" | "outbox";

/** A checkpoint: the plain members, and the maps as lists in their order. */
interface StoredState extends Omit<ProcessState, MapMember> {
  readonly holders: readonly (readonly [SessionId, HolderMark])[];
  readonly typeCounts: readonly (readonly [string, EventTypeCount])[];
  readonly events: readonly EventHeader[];
  readonly outbox: readonly PendingWake[];
}

/** The state as JSON; headers are shared with the state, not copied. */
export function stateToJson(state: ProcessState): Json {
  const stored: StoredState & { readonly replayKeys?: undefined } = {
    ...state,
    replayKeys: undefined,
    holders: [...state.holders.entries()],
    typeCounts: [...state.typeCounts.entries()],
    events: [...state.events.values()],
    outbox: [...state.outbox.values()],
  };
  return stored as unknown as Json;
}

/** The state that a checkpoint holds. */
export function stateFromJson(json: Json): ProcessState {
  const stored = json as unknown as StoredState;
  const { events } = stored;
  return {
    ...stored,
    holders: orderedMapOf(stored.holders),
    typeCounts: orderedMapOf(stored.typeCounts),
    events: orderedMapOf(events.map((header) => [header.sequence, header])),
    replayKeys: orderedMapOf(
      events.flatMap(({ replayKey, sequence }): [string, number][] =>
        replayKey === undefined ? [] : [[replayKey, sequence]],
      ),
    ),
    outbox: orderedMapOf(stored.outbox.map((wake) => [wake.place.sequence, wake])),
  };
}
