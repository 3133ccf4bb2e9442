/** What the views and the timers go by. */
import type { StreamSummary } from "../shared/aggregate.ts";
import type { JsonObject } from "../shared/json.ts";
import { hasOpenWork, rollForwardAt } from "./open-work.ts";
import type { GrantsState } from "./state.ts";

/** Heap bytes of an empty state, a grant, a hold, a moved handle and a source, near enough. */
const BYTES = { state: 2048, grant: 400, hold: 250, moved: 300, source: 150 } as const;

const NO_LABELS = {};

/** The summary of the grants of a session; a deleted one stays visible while work is open. */
export function summarize(state: GrantsState): StreamSummary {
  const dueAt = rollForwardAt(state);
  return {
    state: state.phase,
    labels: NO_LABELS,
    ...(dueAt === undefined ? {} : { dueAt }),
    gone: state.phase === "deleted" && !hasOpenWork(state),
  };
}

/** What lists of grants show without loading the stream. */
export function facts(state: GrantsState): JsonObject {
  return {
    grants: state.grants.size,
    leaving: state.leaving.size,
    openHolds: state.openHolds.size,
    openTransfers: state.transfers.size,
    deferrals: state.deferral?.attempts ?? 0,
  };
}

/** Heap bytes of a state, near enough for the cache. */
export function bytesOf(state: GrantsState): number {
  return (
    BYTES.state +
    state.grants.size * BYTES.grant +
    state.holds.size * BYTES.hold +
    state.leaving.size * BYTES.moved +
    state.sources.size * BYTES.source
  );
}
