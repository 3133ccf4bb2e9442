// A watcher of one runtime that never gives up: whatever ends its stream, it resumes after the last
// thing it got, at the next replica.
import type { WatchRuntimeResponse } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { type Endpoints, isPassing, makeEndpoints } from "./endpoints.ts";
import type { HistoryRecorder } from "./history-recorder.ts";
import { pauseFor } from "./waiting.ts";

/** What a watcher is about. */
export interface WatcherOptions {
  readonly name: string;
  readonly runtimeId: string;
  readonly urls: readonly string[];
  readonly recorder: HistoryRecorder;
  /** A stream is given up and resumed after this time at the latest. */
  readonly streamMs: number;
  readonly signal: AbortSignal;
}

/** A running watcher. */
export interface Watcher {
  readonly runtimeId: string;
  /** Everything up to this revision was seen. */
  readonly revision: () => number;
  readonly ended: Promise<void>;
}

const RESUME_PAUSE_MS = 50;

/** Starts a watcher at the beginning of the history. */
export function startWatcher(options: WatcherOptions): Watcher {
  const { name: watcher, runtimeId, urls, recorder, streamMs, signal } = options;
  const names = { watcher, runtimeId };
  const endpoints: Endpoints = makeEndpoints(urls, { protocol: "grpc", signal });
  let position: { readonly revision: bigint; readonly index?: number } = { revision: 0n };
  let complete = 0;

  function see({ message }: WatchRuntimeResponse): void {
    if (message.case === "event") {
      const { revision, index, eventId, eventCode } = message.value;
      position = { revision, index };
      const place = { revision: Number(revision), index };
      recorder.note({ type: "watched", ...names, ...place, eventId, eventCode });
    } else if (message.case === "bookmark") {
      const { revision } = message.value;
      position = { revision };
      complete = Number(revision);
      recorder.note({ type: "bookmarked", ...names, revision: complete });
    }
  }

  async function watchOnce(): Promise<void> {
    const { revision, index = -1 } = position;
    recorder.note({ type: "watch_opened", ...names, revision: Number(revision), index });
    const limit = AbortSignal.any([signal, AbortSignal.timeout(streamMs)]);
    const request = { runtimeId, after: position };
    const responses = endpoints.next().runtimes.watchRuntime(request, { signal: limit });
    for await (const response of responses) see(response);
  }

  async function watch(): Promise<void> {
    while (!signal.aborted) {
      try {
        await watchOnce();
      } catch (error) {
        if (!isPassing(error)) throw error;
      }
      await pauseFor(RESUME_PAUSE_MS, signal);
    }
  }

  return { runtimeId, revision: () => complete, ended: watch() };
}
