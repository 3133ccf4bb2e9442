/**
 * Follows the events of a runtime and remembers the place: a broken connection, a slow reader or a
 * server that goes away is followed by another stream from exactly there.
 */
import type { RuntimeEventCategory } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  WatchEndReason,
  type WatchPosition,
  type WatchRuntimeResponse,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import type { Connection } from "../client/connection.ts";
import { type Failure, failureOf, isPassing } from "../client/failure.ts";
import { makeBackoff, pause } from "../client/repeat.ts";

/** A place in the events of a runtime. */
export interface WatchPlace {
  readonly revision: bigint;
  /** Absent when the revision is complete. */
  readonly index?: number;
}

/** What to follow, and who is told. */
export interface WatchOptions {
  readonly connection: Connection;
  readonly runtimeId: string;
  readonly categories: readonly RuntimeEventCategory[];
  /** Place to begin behind; the present when absent. */
  readonly after?: WatchPlace;
  /** Whether the first stream begins with the runtime itself. */
  readonly includeInitial: boolean;
  readonly onMessage: (message: WatchRuntimeResponse["message"]) => void;
  /** Told when a stream broke off and will be resumed. */
  readonly onTrouble: (failure: Failure) => void;
  readonly signal: AbortSignal;
}

/** How following ended. */
export interface WatchOutcome {
  readonly type: "stopped" | "destroyed";
  /** Where to go on; absent when nothing came. */
  readonly place?: WatchPlace;
}

/** The place as people write it. */
export function placeText({ revision, index }: WatchPlace): string {
  return index === undefined ? String(revision) : `${revision}:${index}`;
}

function placeOf({ revision, index }: WatchPosition): WatchPlace {
  return index === undefined ? { revision } : { revision, index };
}

/** The place behind a message; undefined when it does not tell. */
function placeAfter(message: WatchRuntimeResponse["message"]): WatchPlace | undefined {
  switch (message.case) {
    case "event":
      return { revision: message.value.revision, index: message.value.index };
    case "bookmark":
      return { revision: message.value.revision };
    case "gap":
      return { revision: message.value.toRevision };
    case "initial": {
      const { runtime } = message.value;
      return runtime === undefined ? undefined : { revision: runtime.revision };
    }
    case "end": {
      const { resumeAfter } = message.value;
      return resumeAfter === undefined ? undefined : placeOf(resumeAfter);
    }
    case undefined:
      return undefined;
  }
}

/** The place that a reader who was too slow is told to go on at. */
function placeOfOverflow({ reason, metadata }: Failure): WatchPlace | undefined {
  const { revision, index } = metadata;
  if (reason !== "WATCH_OVERFLOW" || revision === undefined) return undefined;
  return { revision: BigInt(revision), ...(index === undefined ? {} : { index: Number(index) }) };
}

/** Follows until the signal fires, the runtime is destroyed, or the server refuses. */
export async function followRuntime(options: WatchOptions): Promise<WatchOutcome> {
  const { connection, runtimeId, onMessage, onTrouble, signal } = options;
  const backoff = makeBackoff();
  const isStopped = (): boolean => signal.aborted;
  let place: WatchPlace | undefined;

  /** Reads one stream to its end; true when nothing more can come. */
  async function readStream(): Promise<boolean> {
    const after = place ?? options.after;
    const request = {
      runtimeId,
      categories: [...options.categories],
      includeInitial: options.includeInitial && place === undefined,
      ...(after === undefined ? {} : { after }),
    };
    const stream = connection.runtimes.watchRuntime(request, { signal, timeoutMs: 0 });
    for await (const { message } of stream) {
      backoff.reset();
      place = placeAfter(message) ?? place;
      onMessage(message);
      if (message.case === "end") return message.value.reason === WatchEndReason.RUNTIME_DESTROYED;
    }
    return false;
  }

  function outcome(type: WatchOutcome["type"]): WatchOutcome {
    return place === undefined ? { type } : { type, place };
  }

  while (!isStopped()) {
    try {
      if (await readStream()) return outcome("destroyed");
    } catch (error) {
      if (isStopped()) break;
      const failure = failureOf(error);
      const cutPlace = placeOfOverflow(failure);
      if (cutPlace === undefined && !isPassing(failure)) throw error;
      place = cutPlace ?? place;
      onTrouble(failure);
    }
    await pause(backoff.nextMs(), signal);
  }
  return outcome("stopped");
}
