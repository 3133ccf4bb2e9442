/**
 * Processes and their events wherever they are: headers in the folded state or, forgotten, in the
 * records; registrations, payloads and outputs in the journal.
 */
import { type AwaitOutput, outputOf } from "../core/process/await-output.ts";
import { eventFromJson } from "../core/process/event-codec.ts";
import type { ProcessStreamEvent } from "../core/process/events.ts";
import { processFactsOf } from "../core/process/facts-codec.ts";
import { type LoggedEvent, loggedEventsOf } from "../core/process/logged-event.ts";
import { eventHeaderFromRecord, PROCESS_EVENTS_CLASS } from "../core/process/record-codec.ts";
import type { EventHeader, ProcessState, WakeMark } from "../core/process/state.ts";
import { isClaimable } from "../core/process/summarize.ts";
import type { EventPlace } from "../core/process/terms.ts";
import type { Revision, StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { ProcessFold, ProcessStreams } from "../dispatch/process-streams.ts";
import { decodeCommit } from "../engine/commit-codec.ts";
import type { StoredCommit } from "../engine/ports.ts";
import type { Process } from "../../gen/keelson/process/v1/messages_pb.ts";
import { processToProto } from "./codec/process.ts";
import type { OrdinalSource } from "./ordinal-pages.ts";
import { readCommits } from "./stored-commits.ts";

type Commits = Pick<ProcessStreams, "commit">;

function corrupt(stream: StreamName, what: string, revision: Revision): RefusedError {
  const message = `${what} is not in the journal`;
  return new RefusedError(refusalOf("STREAM_CORRUPT", message, { stream, revision }));
}

function eventsOf(stored: StoredCommit): readonly ProcessStreamEvent[] {
  return decodeCommit(stored).events.flatMap((json) => {
    const event = eventFromJson(json);
    return event === "unknown" ? [] : [event];
  });
}

function loggedIn(stored: StoredCommit): readonly LoggedEvent[] {
  const { revision, at } = stored;
  return loggedEventsOf(eventsOf(stored), { revision, index: 0, at });
}

/** The logged events at these places, in their order. */
export async function readLogged(
  streams: Commits,
  stream: StreamName,
  places: readonly EventPlace[],
): Promise<readonly LoggedEvent[]> {
  const revisions = places.map((place) => place.revision);
  const commits = await readCommits(streams, stream, revisions);
  const bySequence = new Map<number, LoggedEvent>();
  for (const stored of commits.values()) {
    for (const logged of loggedIn(stored)) bySequence.set(logged.place.sequence, logged);
  }
  return places.map((place) => {
    const logged = bySequence.get(place.sequence);
    if (logged === undefined) throw corrupt(stream, "An event of the process", place.revision);
    return logged;
  });
}

/** The one logged event at a place. */
export async function readOneLogged(
  streams: Commits,
  stream: StreamName,
  place: EventPlace,
): Promise<LoggedEvent> {
  const [logged] = await readLogged(streams, stream, [place]);
  if (logged === undefined) throw corrupt(stream, "An event of the process", place.revision);
  return logged;
}

/** Headers of a process's events by sequence, wherever they are. */
export function headersOf(
  streams: Pick<ProcessStreams, "listRecords">,
  stream: StreamName,
  state: ProcessState,
): OrdinalSource<EventHeader> {
  return {
    streams,
    stream,
    recordClass: PROCESS_EVENTS_CLASS,
    fromRecord: eventHeaderFromRecord,
    held: function* held(afterSequence) {
      for (const [ordinal, item] of state.events.entries(afterSequence + 1)) {
        yield { ordinal, item };
      }
    },
    includesForgotten: state.events.size < state.lastSequence,
  };
}

/** The header of one event, wherever it is. */
export async function headerAt(
  streams: Pick<ProcessStreams, "listRecords">,
  stream: StreamName,
  state: ProcessState,
  sequence: number,
): Promise<EventHeader> {
  const held = state.events.get(sequence);
  if (held !== undefined) return held;
  const [record] = await streams.listRecords(stream, PROCESS_EVENTS_CLASS, sequence - 1, 1);
  if (record?.ordinal === sequence) return eventHeaderFromRecord(record.body);
  throw new RefusedError(
    refusalOf("STREAM_CORRUPT", "An event of the process is in no record", { stream, sequence }),
  );
}

/** The output that the event left which ended a process. */
export function outputOfEnd(state: ProcessState, { appended }: LoggedEvent): AwaitOutput {
  const types = state.registration?.eventTypes ?? [];
  const declared = types.find((type) => type.name === appended.eventType);
  const output = declared && outputOf(declared, appended.payload);
  if (output === undefined || output.type === "problem") {
    throw new TypeError(`The event ${appended.sequence} leaves no output`);
  }
  return output;
}

/** What an ended process left; undefined while it has not ended. */
export async function readOutput(
  streams: Commits,
  stream: StreamName,
  state: ProcessState,
): Promise<AwaitOutput | undefined> {
  if (state.end === null) return undefined;
  return outputOfEnd(state, await readOneLogged(streams, stream, state.end.place));
}

/** The process as its readers get it, with everything. */
export async function readProcess(
  streams: Commits,
  stream: StreamName,
  { state, revision }: Pick<ProcessFold, "state" | "revision">,
): Promise<Process> {
  const { registeredRevision, registration } = state;
  const [stored, output] = await Promise.all([
    streams.commit(stream, registeredRevision),
    readOutput(streams, stream, state),
  ]);
  const registered = eventsOf(stored).find((event) => event.type === "process_registered");
  const facts = processFactsOf(state);
  if (registered === undefined || facts === undefined) {
    throw corrupt(stream, "The registration of the process", registeredRevision);
  }
  const content = {
    input: registered.registration.input,
    eventTypes: registration?.eventTypes ?? [],
    typeCounts: state.typeCounts.entries(),
    ...(output && { output }),
  };
  return processToProto(facts, { revision, isClaimable: isClaimable(state) }, content);
}

/** The process as lists show it. */
export function shownProcess({
  state,
  revision,
}: Pick<ProcessFold, "state" | "revision">): Process {
  const facts = processFactsOf(state);
  if (facts === undefined) throw new TypeError("A process that nobody registered cannot be shown");
  return processToProto(facts, { revision, isClaimable: isClaimable(state) });
}

/** What became of the wake of a logged event; undefined while it is on its way or is none. */
export async function settlementOf(
  streams: Pick<ProcessStreams, "listRecords">,
  stream: StreamName,
  state: ProcessState,
  { place, appended }: LoggedEvent,
): Promise<WakeMark["settlement"]> {
  if (appended.wake === undefined || state.outbox.has(place.sequence)) return undefined;
  return (await headerAt(streams, stream, state, place.sequence)).wake?.settlement;
}
