/**
 * Ends leases of executors that stopped renewing, in two steps: the register lapses for good (which
 * settles the race with renewals in one document), then each stream held under it is told, again
 * and again until none is left. Nothing expires before database and process were steady for one
 * full time to live, so an outage, a pause or a step of the database's clock costs no healthy
 * executor its lease.
 */
import type { TimeMs } from "../core/shared/ids.ts";
import type { EngineObserver } from "../engine/observer.ts";
import type { Clock, LeaseRow, LeaseStore, StreamRow, ViewStore } from "../engine/ports.ts";
import { viewHolderOf } from "./held-streams.ts";

const SWEEP_MS = 1000;
const SWEEP_ROWS = 1000;
const STREAM_ROWS = 1000;
/** A lapsed register stays watched this long after its last stream was told. */
const SETTLE_MS = 60_000;
/** Between two looks at the streams of a register that had none left. */
const RECHECK_MS = 5000;
/** A database clock this far ahead of where it should be was set: nobody is overdue by it. */
const STEP_MS = 1000;

/** What the sweeper works with. */
export interface LeaseSweeperOptions {
  readonly leases: LeaseStore;
  readonly views: Pick<ViewStore, "heldBy">;
  readonly clock: Clock;
  readonly observer: EngineObserver;
  /** The database's clock now, read from the database. */
  readonly databaseTime: () => Promise<TimeMs>;
  /** The database's clock as it should be by now. */
  readonly nowMs: () => TimeMs;
  /** For how long nothing disturbed this process and its database. */
  readonly steadyForMs: () => number;
  /** The register of a holder lapsed: end its session here. */
  readonly onLapsed: (holder: string) => void;
  /** Commits the lapse to one stream that the view shows as held. */
  readonly lapse: (holder: string, row: StreamRow) => Promise<void>;
}

/** Sweeps until stopped. */
export interface LeaseSweeper {
  readonly start: () => void;
  readonly stop: () => void;
}

/** The namespace of a holder's register key. */
function namespaceOfHolder(holder: string): string {
  return decodeURIComponent(holder.slice(0, holder.indexOf("/")));
}

/** Makes the sweeper of a process. */
export function makeLeaseSweeper(options: LeaseSweeperOptions): LeaseSweeper {
  const { leases, views, clock, observer } = options;
  /** When the streams of a lapsed register without streams are looked up again. */
  let recheckMs = new Map<string, number>();
  let stopped = false;

  /** One that fails must not keep the others from being swept. */
  async function attempt(task: string, work: Promise<unknown>): Promise<boolean> {
    try {
      await work;
      return true;
    } catch (error) {
      observer.backgroundFailed(task, error);
      return false;
    }
  }

  async function lapseOverdue(): Promise<void> {
    const overdue = await leases.overdue(SWEEP_ROWS);
    if (overdue.length === 0) return;
    // Read after the rows: if they were judged by a clock that was set, this shows it.
    const askedMs = clock.monotonicMs();
    const aheadMs = (await options.databaseTime()) - options.nowMs();
    if (aheadMs > STEP_MS + (clock.monotonicMs() - askedMs)) return;
    for (const row of overdue) {
      if (options.steadyForMs() < row.ttlMs) continue;
      if (await leases.lapse(row.holder)) options.onLapsed(row.holder);
    }
  }

  async function tell(holder: string, held: readonly StreamRow[]): Promise<void> {
    const told = held.map((row) => attempt("lapse of a stream", options.lapse(holder, row)));
    await Promise.all(told);
  }

  async function settle(row: LeaseRow): Promise<void> {
    const { holder } = row;
    options.onLapsed(holder);
    const namespace = namespaceOfHolder(holder);
    const held = await views.heldBy(viewHolderOf(holder), STREAM_ROWS);
    const own = held.filter((stream) => stream.namespace === namespace);
    if (own.length > 0) {
      await tell(holder, own);
      return;
    }
    recheckMs.set(holder, clock.monotonicMs() + RECHECK_MS);
    const lapsedForMs = options.nowMs() - (row.renewedAt + row.ttlMs);
    if (lapsedForMs > SETTLE_MS) await leases.settle(holder);
  }

  async function settleLapsed(): Promise<void> {
    const lapsed = await leases.unsettled(SWEEP_ROWS);
    const nowMs = clock.monotonicMs();
    const due = lapsed.filter(({ holder }) => (recheckMs.get(holder) ?? 0) <= nowMs);
    await Promise.all(due.map((row) => attempt("end of an incarnation", settle(row))));
    const known = new Set(lapsed.map(({ holder }) => holder));
    recheckMs = new Map([...recheckMs].filter(([holder]) => known.has(holder)));
  }

  async function sweep(): Promise<void> {
    if (stopped) return;
    await attempt("sweep of leases", lapseOverdue());
    await attempt("sweep of lapsed leases", settleLapsed());
    clock.after(SWEEP_MS, () => void sweep());
  }

  return {
    start: () => void sweep(),
    stop: () => {
      stopped = true;
    },
  };
}
