// A watcher of all processes that never gives up: whatever ends its stream, it resumes behind its
// last bookmark, at the next replica.
import type { WatchProcessesResponse } from "../../../gen/keelson/process/v1/service_pb.ts";
import { isPassing, makeEndpoints } from "./endpoints.ts";
import { stateName } from "./made-processes.ts";
import type { ProcessScene } from "./process-client.ts";
import { pauseFor } from "./waiting.ts";

/** A running watcher. */
export interface ProcessWatcher {
  /** Resolves once nothing can escape it any more. */
  readonly ready: Promise<void>;
  /** The highest revision seen of a process; 0 when none was. */
  readonly revisionOf: (processId: string) => number;
  readonly ended: Promise<void>;
}

const STREAM_MS = 4_000;
const RESUME_PAUSE_MS = 50;

/** Starts a watcher at the present. */
export function startProcessWatcher(
  { urls, recorder, ending }: Pick<ProcessScene, "urls" | "recorder" | "ending">,
  watcher: string,
  first: number,
): ProcessWatcher {
  const endpoints = makeEndpoints(urls, { protocol: "grpc", signal: ending, first });
  const ready = Promise.withResolvers<void>();
  const seen = new Map<string, number>();
  let cursor = "";

  function see({ message }: WatchProcessesResponse): void {
    if (message.case === "change" && message.value.process !== undefined) {
      const { processId, state, lastSequence, ...process } = message.value.process;
      const revision = Number(process.revision);
      seen.set(processId, Math.max(seen.get(processId) ?? 0, revision));
      const sight = { state: stateName(state), lastSequence: Number(lastSequence) };
      recorder.note({ type: "watched", watcher, processId, revision, ...sight });
    } else if (message.case === "bookmark") {
      ({ cursor } = message.value);
      ready.resolve();
    }
  }

  async function watchOnce(): Promise<void> {
    recorder.note({ type: "watch_opened", watcher });
    const signal = AbortSignal.any([ending, AbortSignal.timeout(STREAM_MS)]);
    const request = { afterCursor: cursor };
    const responses = endpoints.next().processes.watchProcesses(request, { signal });
    for await (const response of responses) see(response);
  }

  async function watch(): Promise<void> {
    while (!ending.aborted) {
      try {
        await watchOnce();
      } catch (error) {
        if (!isPassing(error)) throw error;
      }
      await pauseFor(RESUME_PAUSE_MS, ending);
    }
  }

  return {
    ready: ready.promise,
    revisionOf: (processId) => seen.get(processId) ?? 0,
    ended: watch(),
  };
}
