/**
 * Ends leases of executors that stopped renewing, in two steps: the register lapses for good (which
 * settles the race with renewals in one document), then each stream held under it is told, again
 * and again until none is left. Nothing expires before database and process were steady for one
 * full time to live, so an outage or a pause costs no healthy executor its lease.
 */
import type { EngineObserver } from "../engine/observer.ts";
import type { Clock, LeaseRow, LeaseStore, StreamRow, ViewStore } from "../engine/ports.ts";

const SWEEP_MS = 1000;
const SWEEP_ROWS = 200;
const STREAM_ROWS = 1000;
/** A lapsed register stays watched this long after its last stream was told. */
const SETTLE_MS = 60_000;

/** What the sweeper works with. */
export interface LeaseSweeperOptions {
  readonly leases: LeaseStore;
  readonly views: Pick<ViewStore, "heldBy">;
  readonly clock: Clock;
  readonly observer: EngineObserver;
  readonly nowMs: () => number;
  /** For how long nothing disturbed this process and its database. */
  readonly steadyForMs: () => number;
  /** The register of a holder lapsed: close its session here. */
  readonly onLapsed: (holder: string) => void;
  /** Commits the lapse to one stream that the view shows as held. */
  readonly lapse: (holder: string, row: StreamRow) => Promise<void>;
}

/** Sweeps until stopped. */
export interface LeaseSweeper {
  readonly start: () => void;
  readonly stop: () => void;
}

/** The holder as summaries name it: without the namespace. */
function viewHolder(holder: string): string {
  return holder.slice(holder.indexOf("/") + 1);
}

/** The namespace of a holder's register key. */
function namespaceOfHolder(holder: string): string {
  return decodeURIComponent(holder.slice(0, holder.indexOf("/")));
}

/** Makes the sweeper of a process. */
export function makeLeaseSweeper(options: LeaseSweeperOptions): LeaseSweeper {
  const { leases, views, clock, observer } = options;
  let stopped = false;

  async function lapseOverdue(): Promise<void> {
    for (const row of await leases.overdue(SWEEP_ROWS)) {
      if (options.steadyForMs() < row.ttlMs) continue;
      if (await leases.lapse(row.holder)) options.onLapsed(row.holder);
    }
  }

  async function settle(row: LeaseRow): Promise<void> {
    options.onLapsed(row.holder);
    const namespace = namespaceOfHolder(row.holder);
    const held = await views.heldBy(viewHolder(row.holder), STREAM_ROWS);
    const own = held.filter((stream) => stream.namespace === namespace);
    await Promise.all(own.map((stream) => options.lapse(row.holder, stream)));
    const lapsedForMs = options.nowMs() - (row.renewedAt + row.ttlMs);
    if (own.length === 0 && lapsedForMs > SETTLE_MS) await leases.settle(row.holder);
  }

  async function sweep(): Promise<void> {
    try {
      await lapseOverdue();
      for (const row of await leases.unsettled(SWEEP_ROWS)) await settle(row);
    } catch (error) {
      observer.backgroundFailed("sweep of leases", error);
    }
    if (!stopped) clock.after(SWEEP_MS, () => void sweep());
  }

  return {
    start: () => void sweep(),
    stop: () => {
      stopped = true;
    },
  };
}
