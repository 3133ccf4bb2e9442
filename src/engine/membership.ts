/**
 * This replica among the others: heartbeat, database time, who else lives, and since when
 * everything has been steady (no outage, no slow answer, no pause of our own, no step of the
 * database's clock), which is what the expiry of leases waits for.
 */
import type { TimeMs } from "../core/shared/ids.ts";
import type { DatabaseTime } from "./database-time.ts";
import type { EngineObserver } from "./observer.ts";
import type { BusyPool, Clock, ReplicaRow, ReplicaStore } from "./ports.ts";

/** Milliseconds between heartbeats. */
export const HEARTBEAT_MS = 1000;
const LIVE_MS = 5 * HEARTBEAT_MS;
/** A replica that is gone is listed for so long, and until what it left behind is in the views. */
const LISTED_MS = 3_600_000;
/** A replica that is gone for longer, and left nothing to be done, holds up no watermark. */
const GONE_MS = 60_000;
/** Without an answered heartbeat for so long, a replica may be counted as gone by others. */
const ABSENT_MS = GONE_MS / 2;
/** Longer without an answered heartbeat: the process, the machine or the database stood still. */
const PAUSE_MS = 3 * HEARTBEAT_MS;
/** A database clock this far from where it should be was set, or belongs to another machine. */
const STEP_MS = 1000;

/** This replica's view of the replica set of servers. */
export interface Membership {
  /** Writes the first heartbeat and starts beating; resolves when the database has answered. */
  readonly join: () => Promise<void>;
  /** Stops beating and takes the row away: nothing of this replica is left to be done. */
  readonly leave: () => Promise<void>;
  /** Stops beating and leaves the row to be found by the others. */
  readonly stop: () => void;
  /** From now on every heartbeat tells the others which pools are busy here. */
  readonly announce: (busyPools: () => readonly BusyPool[]) => void;
  /** True while another replica has beaten lately, or nobody knows. */
  readonly hasOthers: () => boolean;
  /** Live replicas including this one, as of the last heartbeat. */
  readonly live: () => readonly ReplicaRow[];
  /** The live ones without this one. */
  readonly others: () => readonly ReplicaRow[];
  /** All rows, also of replicas that stopped beating. */
  readonly rows: () => readonly ReplicaRow[];
  /**
   * Everything that any replica committed before this time is in the journal: the lowest watermark
   * of all replicas, no newer than the last look at them. One that stands still holds it up for a
   * minute, and until what it left behind is in the views.
   */
  readonly lowWatermark: () => TimeMs;
  /** The same of the live replicas alone: what one that stands still lands later may lie before. */
  readonly liveWatermark: () => TimeMs;
  /** For how long database and process have been steady without interruption. */
  readonly steadyForMs: () => number;
  /**
   * For how long no other replica can have counted this one as gone, and moved its watermark past
   * what is committed here; 0 while one may.
   */
  readonly presentForMs: () => number;
  /** True while the database answers heartbeats. */
  readonly isReachable: () => boolean;
}

/** What membership works with. */
export interface MembershipOptions {
  readonly replicas: ReplicaStore;
  readonly clock: Clock;
  readonly time: DatabaseTime;
  readonly observer: EngineObserver;
  readonly replicaId: string;
  readonly address: string;
  readonly version: string;
  /** Everything committed here before this time is in the views. */
  readonly lowWatermark: () => TimeMs;
}

/** Makes the membership of a process. */
export function makeMembership(options: MembershipOptions): Membership {
  const { replicas, clock, time, observer, replicaId, address, version } = options;
  const startedAt = clock.nowMs();
  let rows: readonly ReplicaRow[] = [];
  let busyPools: () => readonly BusyPool[] = () => [];
  /** Own watermark at the last look at the rows. */
  let lookedWatermark: TimeMs = 0;
  let steadySinceMs = clock.monotonicMs();
  /** When the last heartbeat was answered. */
  let lastBeatMs = clock.monotonicMs();
  /** When that one was sent: it arrived then, or later. */
  let lastAskedMs = lastBeatMs;
  /** Nothing was committed before the replica joined. */
  let presentSinceMs = Number.NEGATIVE_INFINITY;
  /** What the database's clock said more than the own monotonic one at the last reading. */
  let clockOffset: { readonly leastMs: number; readonly mostMs: number } | undefined;
  let reachable = false;
  let stopped = false;

  /** Whether the database's clock is not where its last reading puts it. */
  function isStep(databaseMs: TimeMs, askedMs: number, answeredMs: number): boolean {
    // It was read between question and answer: a slow answer leaves it that uncertain.
    const offset = { leastMs: databaseMs - answeredMs, mostMs: databaseMs - askedMs };
    const former = clockOffset ?? offset;
    clockOffset = offset;
    const apartMs = Math.max(offset.leastMs - former.mostMs, former.leastMs - offset.mostMs);
    return apartMs > STEP_MS;
  }

  async function beat(): Promise<void> {
    const askedMs = clock.monotonicMs();
    const lowWatermark = options.lowWatermark();
    const facts = { replicaId, address, version, startedAt, lowWatermark };
    const databaseMs = await replicas.heartbeat({ ...facts, busyPools: busyPools() });
    const answeredMs = clock.monotonicMs();
    // Before the time is corrected: whoever sees the step must see the disturbance, too.
    const hasStepped = isStep(databaseMs, askedMs, answeredMs);
    if (hasStepped) steadySinceMs = answeredMs;
    time.synchronize(databaseMs, askedMs, answeredMs);
    rows = await replicas.list();
    lookedWatermark = lowWatermark;
    for (const other of rows) {
      const isForgotten = other.buried && databaseMs - other.heartbeatAt > LISTED_MS;
      if (isForgotten) await replicas.remove(other.replicaId);
    }
    const nowMs = clock.monotonicMs();
    if (!reachable || nowMs - lastBeatMs > PAUSE_MS) steadySinceMs = nowMs;
    if (hasStepped || nowMs - lastAskedMs > ABSENT_MS) presentSinceMs = nowMs;
    reachable = true;
    lastBeatMs = nowMs;
    lastAskedMs = askedMs;
  }

  async function tick(): Promise<void> {
    if (stopped) return;
    try {
      await beat();
    } catch (error) {
      reachable = false;
      observer.backgroundFailed("heartbeat", error);
    }
    clock.after(HEARTBEAT_MS, () => void tick());
  }

  function live(): readonly ReplicaRow[] {
    const nowMs = time.nowMs();
    return rows.filter((row) => row.replicaId === replicaId || nowMs - row.heartbeatAt < LIVE_MS);
  }

  const lowestOf = (some: readonly ReplicaRow[]): TimeMs =>
    Math.min(lookedWatermark, ...some.map((row) => row.lowWatermark));

  return {
    join: async () => {
      await beat();
      // Again, now that the database's time is known: the first watermark went by the own clock.
      await beat();
      clock.after(HEARTBEAT_MS, () => void tick());
    },
    leave: async () => {
      stopped = true;
      await replicas.remove(replicaId);
    },
    stop: () => {
      stopped = true;
    },
    announce: (source) => {
      busyPools = source;
    },
    hasOthers: () => live().length > 1,
    live,
    others: () => live().filter((row) => row.replicaId !== replicaId),
    rows: () => rows,
    lowWatermark: () => {
      const goneBefore = time.nowMs() - GONE_MS;
      return lowestOf(rows.filter((row) => !row.buried || row.heartbeatAt >= goneBefore));
    },
    liveWatermark: () => lowestOf(live()),
    steadyForMs: () => {
      const nowMs = clock.monotonicMs();
      return reachable && nowMs - lastBeatMs <= PAUSE_MS ? nowMs - steadySinceMs : 0;
    },
    presentForMs: () => {
      const nowMs = clock.monotonicMs();
      return nowMs - lastAskedMs > ABSENT_MS ? 0 : nowMs - presentSinceMs;
    },
    isReachable: () => reachable,
  };
}
