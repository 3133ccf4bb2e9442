/** The grants of a session that was never granted anything. */
import { emptyOrderedMap } from "../shared/ordered-map.ts";
import type { GrantsState } from "./state.ts";

/** The state of a grants stream without commits. */
export const INITIAL_GRANTS_STATE: GrantsState = {
  phase: "open",
  updatedAt: 0,
  grants: emptyOrderedMap(),
  holds: emptyOrderedMap(),
  openHolds: emptyOrderedMap(),
  lastMark: 0,
  transfers: emptyOrderedMap(),
  leaving: emptyOrderedMap(),
  lastSerial: 0,
  sources: emptyOrderedMap(),
  deletion: null,
  deferral: null,
};
