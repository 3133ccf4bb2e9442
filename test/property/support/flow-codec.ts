// What is read back as what it was written as, in stories of flows.
import type { Json } from "../../../src/core/shared/json.ts";
import { type StreamName, streamNameOf } from "../../../src/core/shared/ids.ts";
import type { StreamFold } from "../../../src/engine/stream-fold.ts";

/** The fold of a stream; a stream is only ever asked for with its own aggregate. */
export function foldAs<State>(
  fold: StreamFold<unknown> | undefined,
): StreamFold<State> | undefined {
  return fold as StreamFold<State> | undefined;
}

/** Events as storage gives them back. */
export function storedEvents(events: readonly unknown[]): readonly Json[] {
  return JSON.parse(JSON.stringify(events)) as readonly Json[];
}

/** Stored events of a kind of stream. */
export function eventsAs<Event>(events: readonly Json[]): readonly Event[] {
  return events as unknown as readonly Event[];
}

/** The name of a stream in the world. */
export function nameOf(kind: "grants" | "process" | "runtime", id: string): StreamName {
  return streamNameOf(`${kind}/default/${id}`);
}
