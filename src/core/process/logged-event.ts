/** What a process logged, as readers get it: the stored event with its place and time. */
import type { EventPosition } from "../shared/aggregate.ts";
import type { TimeMs } from "../shared/ids.ts";
import type { EventAppended, ProcessStreamEvent } from "./events.ts";
import type { EventPlace } from "./terms.ts";

/** One logged event. */
export interface LoggedEvent {
  readonly place: EventPlace;
  readonly at: TimeMs;
  readonly appended: EventAppended;
}

/** The logged events of a commit, in order; `first` is the place of its first event. */
export function loggedEventsOf(
  events: readonly ProcessStreamEvent[],
  first: EventPosition,
): readonly LoggedEvent[] {
  return events.flatMap((appended, offset): readonly LoggedEvent[] => {
    if (appended.type !== "process_event_appended") return [];
    const { revision, index, at } = first;
    const place = { sequence: appended.sequence, revision, eventIndex: index + offset };
    return [{ place, at, appended }];
  });
}
