/**
 * Keeps a run that an executor handed back, never acknowledged or was fenced from, from coming back
 * to it at once: it goes to another executor first, and waits a moment when there is none.
 */
import type { EndedRun, RuntimeState } from "../core/runtime/state.ts";
import type { TimeMs } from "../core/shared/ids.ts";

const PAUSE_MS = 1000;
const AWAY_FIRST: ReadonlySet<EndedRun["how"] | undefined> = new Set([
  "released",
  "taken_back",
  "fenced",
]);

/**
 * From when on a runtime may go to its last executor again; undefined when its last run ended in
 * another way.
 */
export function mayGoBackAt(state: RuntimeState): TimeMs | undefined {
  const how = state.endedRuns[0]?.how;
  if (state.run !== null || !AWAY_FIRST.has(how)) return undefined;
  return state.wakeAt + PAUSE_MS;
}
