/**
 * What may leave the folded state: headers of logged events whose wake, if there was one, is
 * settled. What decisions need of them later is found in their records (P4).
 */
import type { ForgottenRecord } from "../shared/aggregate.ts";
import { eventHeaderFromRecord, eventRecord } from "./record-codec.ts";
import type { ProcessState } from "./state.ts";

/** How many headers could leave the state now. */
export function forgettableCount(state: ProcessState): number {
  return state.events.size - state.outbox.size;
}

/** Rows for every header that could leave the state now, by event sequence. */
export function forgettable(state: ProcessState): readonly ForgottenRecord[] {
  return [...state.events.values()]
    .filter(({ sequence }) => !state.outbox.has(sequence))
    .map(eventRecord);
}

/** The state without the headers of rows that are durable. */
export function forget(state: ProcessState, rows: readonly ForgottenRecord[]): ProcessState {
  const headers = rows.map((row) => eventHeaderFromRecord(row.body));
  const replayKeys = headers.flatMap(({ replayKey }) => (replayKey === undefined ? [] : replayKey));
  return {
    ...state,
    events: state.events.withoutKeys(rows.map((row) => row.ordinal)),
    replayKeys: state.replayKeys.withoutKeys(replayKeys),
  };
}
