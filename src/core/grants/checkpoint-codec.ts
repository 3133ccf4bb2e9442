/**
 * The folded state as JSON and back, for checkpoints. Which holds are open and which grants are
 * leaving follows from holds and transfers and is rebuilt.
 */
import type { ProcessId, SessionId } from "../shared/ids.ts";
import type { Json } from "../shared/json.ts";
import { orderedMapOf } from "../shared/ordered-map.ts";
import { grantKeyOf } from "./grant-keys.ts";
import type { AcceptedSerials, Grant, GrantKey, GrantsState, Hold, Transfer } from "./state.ts";

type Maps = "grants" | "holds" | "openHolds" | "transfers" | "leaving" | "sources";

/** A checkpoint: the plain members, and the entries of the maps. */
interface StoredState extends Omit<GrantsState, Maps> {
  readonly grants: readonly Grant[];
  readonly holds: readonly (readonly [ProcessId, Hold])[];
  readonly transfers: readonly Transfer[];
  readonly sources: readonly (readonly [SessionId, AcceptedSerials])[];
}

/** The state as JSON; its parts are shared with the state, not copied. */
export function stateToJson(state: GrantsState): Json {
  const stored: StoredState = {
    phase: state.phase,
    updatedAt: state.updatedAt,
    lastMark: state.lastMark,
    lastSerial: state.lastSerial,
    deletion: state.deletion,
    deferral: state.deferral,
    grants: [...state.grants.values()],
    holds: [...state.holds.entries()],
    transfers: [...state.transfers.values()],
    sources: [...state.sources.entries()],
  };
  return stored as unknown as Json;
}

function leavingOf(transfer: Transfer): readonly (readonly [GrantKey, number])[] {
  const { fromFrameId, handles, serial } = transfer;
  return handles.map(({ processId }) => [grantKeyOf(fromFrameId, processId), serial]);
}

/** The state that a checkpoint holds. */
export function stateFromJson(json: Json): GrantsState {
  const stored = json as unknown as StoredState;
  const open = stored.holds.filter(([, { standing }]) => standing !== "held");
  return {
    ...stored,
    grants: orderedMapOf(
      stored.grants.map((grant) => [grantKeyOf(grant.frameId, grant.processId), grant]),
    ),
    holds: orderedMapOf(stored.holds),
    openHolds: orderedMapOf(open.map(([processId, { mark }]) => [processId, mark])),
    transfers: orderedMapOf(stored.transfers.map((transfer) => [transfer.serial, transfer])),
    leaving: orderedMapOf(stored.transfers.flatMap(leavingOf)),
    sources: orderedMapOf(stored.sources),
  };
}
