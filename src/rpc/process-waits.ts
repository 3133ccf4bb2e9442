/** Who waits for which event of a process, and for its end. */
import { firstBehind } from "../core/process/landmarks.ts";
import { type LoggedEvent, loggedEventsOf } from "../core/process/logged-event.ts";
import type { EventHeader } from "../core/process/state.ts";
import type { StreamName } from "../core/shared/ids.ts";
import type { ProcessCommit, ProcessFold, ProcessStreams } from "../dispatch/process-streams.ts";
import type { Clock } from "../engine/ports.ts";
import { type OrderedPage, readPage } from "./ordinal-pages.ts";
import { assertReadable } from "./process-calls.ts";
import { headerAt, headersOf, readOneLogged } from "./stored-processes.ts";
import { makeStreamWaits, type Telling, type WaitTerms } from "./stream-waits.ts";

/** What was waited for, with the fold in which it was found. */
export interface AwaitedEvent {
  readonly logged: LoggedEvent;
  readonly fold: ProcessFold;
}

/** The waits of a process on processes; undefined when the time is up or the server goes down. */
export interface ProcessWaits {
  /** The first event of a type behind a sequence. */
  readonly event: (
    stream: StreamName,
    eventType: string,
    afterSequence: number,
    terms: WaitTerms,
  ) => Promise<AwaitedEvent | undefined>;
  /** The event that ended the process. */
  readonly end: (stream: StreamName, terms: WaitTerms) => Promise<AwaitedEvent | undefined>;
  readonly count: () => number;
}

/** What the waits work with. */
export interface ProcessWaitsOptions {
  readonly streams: ProcessStreams;
  readonly clock: Pick<Clock, "after">;
  readonly drainSignal: AbortSignal;
}

/** A type of events by its name, or the end of the process. */
type Topic = `type:${string}` | "end";

type EventTelling = Telling<Topic, AwaitedEvent>;

function hear(_stream: StreamName, commit: ProcessCommit, telling: EventTelling): void {
  const { revision, at } = commit.after;
  const fold = commit.after;
  for (const logged of loggedEventsOf(commit.events, { revision, index: 0, at })) {
    telling.tell(`type:${logged.appended.eventType}`, { logged, fold });
    if (logged.appended.terminal !== undefined) telling.tell("end", { logged, fold });
  }
}

/** Makes the waits of a process. */
export function makeProcessWaits(options: ProcessWaitsOptions): ProcessWaits {
  const { streams } = options;
  const waits = makeStreamWaits({ ...options, hear });

  async function knownFold(stream: StreamName): Promise<ProcessFold> {
    const fold = streams.peek(stream) ?? (await streams.known(stream));
    assertReadable(fold, fold.state.processId);
    return fold;
  }

  async function firstStored(
    stream: StreamName,
    fold: ProcessFold,
    eventType: string,
    afterSequence: number,
  ): Promise<LoggedEvent | undefined> {
    const { landmarks = [] } = fold.state.typeCounts.get(eventType) ?? {};
    let last: EventHeader | undefined;
    await firstBehind(landmarks, afterSequence, async (sequence) => {
      last = await headerAt(streams, stream, fold.state, sequence);
      return last.landmarks;
    });
    if (last === undefined) return undefined;
    const isFirst = last.landmarks !== undefined;
    const header = isFirst ? last : await firstUpTo(stream, fold, last, afterSequence);
    return await readOneLogged(streams, stream, header);
  }

  /** The first event of a type up to a known one, where records have no landmarks. */
  async function firstUpTo(
    stream: StreamName,
    fold: ProcessFold,
    known: EventHeader,
    afterSequence: number,
  ): Promise<EventHeader> {
    const page = {
      pageSize: 1,
      bytesMax: 0,
      bytesOf: () => 0,
      matches: ({ eventType }: EventHeader) => eventType === known.eventType,
    };
    for (let after: number | undefined = afterSequence; after !== undefined; ) {
      const source = headersOf(streams, stream, fold.state);
      const { items, next }: OrderedPage<EventHeader> = await readPage(source, after, page);
      const [first] = items;
      if (first !== undefined) return first;
      after = next;
    }
    return known;
  }

  return {
    event: async (stream, eventType, afterSequence, terms) => {
      const present = async (): Promise<AwaitedEvent | undefined> => {
        const fold = await knownFold(stream);
        const logged = await firstStored(stream, fold, eventType, afterSequence);
        return logged && { logged, fold };
      };
      const accepts = ({ logged }: AwaitedEvent): boolean => logged.place.sequence > afterSequence;
      return await waits.wait({ stream, topic: `type:${eventType}`, terms, present, accepts });
    },
    end: async (stream, terms) => {
      const present = async (): Promise<AwaitedEvent | undefined> => {
        const fold = await knownFold(stream);
        const { end } = fold.state;
        return end ? { logged: await readOneLogged(streams, stream, end.place), fold } : undefined;
      };
      return await waits.wait({ stream, topic: "end", terms, present });
    },
    count: waits.count,
  };
}
