/**
 * This replica among the others: heartbeat, database time, who else lives, and since when
 * everything has been steady (no outage, no pause of our own), which is what lease expiry waits
 * for.
 */
import type { TimeMs } from "../core/shared/ids.ts";
import type { DatabaseTime } from "./database-time.ts";
import type { EngineObserver } from "./observer.ts";
import type { Clock, ReplicaRow, ReplicaStore } from "./ports.ts";

/** Milliseconds between heartbeats. */
export const HEARTBEAT_MS = 1000;
const LIVE_MS = 5 * HEARTBEAT_MS;
const GONE_MS = 60_000;
/** A timer that fires this late means that the process or the machine stood still. */
const PAUSE_MS = 3 * HEARTBEAT_MS;

/** This replica's view of the replica set of servers. */
export interface Membership {
  /** Writes the first heartbeat and starts beating; resolves when the database has answered. */
  readonly join: () => Promise<void>;
  readonly leave: () => Promise<void>;
  /** True while another replica has beaten lately, or nobody knows. */
  readonly hasOthers: () => boolean;
  /** Live replicas including this one, as of the last heartbeat. */
  readonly live: () => readonly ReplicaRow[];
  /** All rows, also of replicas that stopped beating. */
  readonly rows: () => readonly ReplicaRow[];
  /** For how long database and process have been steady without interruption. */
  readonly steadyForMs: () => number;
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
  let steadySinceMs = clock.monotonicMs();
  let lastBeatMs = clock.monotonicMs();
  let reachable = false;
  let stopped = false;

  async function beat(): Promise<void> {
    const askedMs = clock.monotonicMs();
    if (askedMs - lastBeatMs > PAUSE_MS) steadySinceMs = askedMs;
    lastBeatMs = askedMs;
    const lowWatermark = options.lowWatermark();
    const row = { replicaId, address, version, startedAt, lowWatermark };
    const databaseMs = await replicas.heartbeat(row);
    const answeredMs = clock.monotonicMs();
    time.synchronize(databaseMs, askedMs, answeredMs);
    rows = await replicas.list();
    for (const other of rows) {
      if (databaseMs - other.heartbeatAt > GONE_MS) await replicas.remove(other.replicaId);
    }
    if (!reachable) steadySinceMs = clock.monotonicMs();
    reachable = true;
    lastBeatMs = clock.monotonicMs();
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
    hasOthers: () => live().length > 1,
    live,
    rows: () => rows,
    steadyForMs: () => (reachable ? clock.monotonicMs() - steadySinceMs : 0),
    isReachable: () => reachable,
  };
}
