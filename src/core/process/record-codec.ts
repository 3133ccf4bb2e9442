/**
 * Records of what the state forgot: the headers of logged events, enough to find a replay, to page
 * through the history and to read an event's payload from the journal.
 */
import type { ForgottenRecord } from "../shared/aggregate.ts";
import type { JsonObject } from "../shared/json.ts";
import type { EventHeader } from "./state.ts";

/** Record class of logged events; the ordinal is the event sequence. */
export const PROCESS_EVENTS_CLASS = "process_events";

/** Lookup of an event by its replay key. */
export const replayLookup = (replayKey: string): string => `key:${replayKey}`;
/** Lookup of an event with a wake by its event sequence. */
export const wakeLookup = (sequence: number): string => `wake:${sequence}`;

/** The record of a logged event. */
export function eventRecord(header: EventHeader): ForgottenRecord {
  const { sequence, revision, replayKey, wake } = header;
  return {
    recordClass: PROCESS_EVENTS_CLASS,
    ordinal: sequence,
    lookups: [
      ...(replayKey === undefined ? [] : [replayLookup(replayKey)]),
      ...(wake === undefined ? [] : [wakeLookup(sequence)]),
    ],
    revision,
    body: header as unknown as JsonObject,
  };
}

/** The header that a record of class `process_events` holds. */
export function eventHeaderFromRecord(body: JsonObject): EventHeader {
  return body as unknown as EventHeader;
}
