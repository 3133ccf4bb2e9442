/**
 * Follows a watch and remembers the place: a broken connection, a slow reader or a server that goes
 * away is followed by another stream from exactly there.
 */
import type { CallOptions } from "@connectrpc/connect";
import { type Failure, failureOf, isPassing } from "../client/failure.ts";
import { makeBackoff, pause } from "../client/repeat.ts";

/** What to follow, and who is told. */
export interface FollowOptions<Message, Place> {
  /** Place to begin behind; the present when undefined. */
  readonly begin: Place | undefined;
  readonly open: (after: Place | undefined, options: CallOptions) => AsyncIterable<Message>;
  /** The place behind a message; undefined when it does not tell. */
  readonly placeOf: (message: Message) => Place | undefined;
  /** The place that a reader who was too slow is told to go on at. */
  readonly placeOfOverflow: (metadata: Failure["metadata"]) => Place | undefined;
  readonly onMessage: (message: Message) => void;
  /** Told when a stream broke off and will be resumed. */
  readonly onTrouble: (failure: Failure) => void;
  readonly signal: AbortSignal;
}

/** Follows until the signal fires or the server refuses; answers where to go on. */
export async function followStream<Message, Place>(
  options: FollowOptions<Message, Place>,
): Promise<Place | undefined> {
  const { open, placeOf, placeOfOverflow, onMessage, onTrouble, signal } = options;
  const backoff = makeBackoff();
  const isStopped = (): boolean => signal.aborted;
  let place = options.begin;
  while (!isStopped()) {
    try {
      for await (const message of open(place, { signal, timeoutMs: 0 })) {
        backoff.reset();
        place = placeOf(message) ?? place;
        onMessage(message);
      }
    } catch (error) {
      if (isStopped()) break;
      const failure = failureOf(error);
      const isCut = failure.reason === "WATCH_OVERFLOW";
      if (!isCut && !isPassing(failure)) throw error;
      if (isCut) place = placeOfOverflow(failure.metadata) ?? place;
      onTrouble(failure);
    }
    await pause(backoff.nextMs(), signal);
  }
  return place;
}
