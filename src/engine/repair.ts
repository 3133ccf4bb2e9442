/**
 * Finds streams whose view row is behind the journal and projects them again: after a start, after
 * another replica stopped beating, and bit by bit as a precaution. Each pass goes by the time index
 * of the journal and compares heads with rows.
 */
import type { Revision, StreamName, TimeMs } from "../core/shared/ids.ts";
import { RefusedError } from "../core/shared/refusal.ts";
import type { DatabaseTime } from "./database-time.ts";
import { walkJournal } from "./journal-walk.ts";
import type { Membership } from "./membership.ts";
import type { EngineObserver } from "./observer.ts";
import type { Clock, JournalStore, TimedPoint, ViewStore } from "./ports.ts";

const PATROL_MS = 60_000;
const PATROL_PAGES = 10;
const PATROL_WINDOW_MS = 3_600_000;
/** Rows this fresh may still be in somebody's backlog. */
const LAG_MS = 3000;
const STALE_MS = 5000;

/** Progress of a pass over the journal. */
export interface RepairProgress {
  /** Commits looked at. */
  readonly commits: number;
  /** Rows that were written again. */
  readonly repaired: number;
}

/** Keeps the views true. */
export interface Repair {
  readonly start: () => void;
  readonly stop: () => void;
  /**
   * Walks all commits since a time and projects what is behind, or everything when `all` is set.
   * `accept` chooses streams by name.
   */
  readonly pass: (
    since: TimeMs,
    options: {
      readonly all: boolean;
      readonly accept?: (stream: StreamName) => boolean;
      readonly onProgress?: (progress: RepairProgress) => void;
      readonly signal?: AbortSignal;
    },
  ) => Promise<RepairProgress>;
}

/** What repair works with. */
export interface RepairOptions {
  readonly journal: JournalStore;
  readonly views: ViewStore;
  readonly clock: Clock;
  readonly time: DatabaseTime;
  readonly membership: Membership;
  readonly observer: EngineObserver;
  readonly replicaId: string;
  /** Projects a stream from its head; false for kinds that this server does not know. */
  readonly reproject: (stream: StreamName) => Promise<boolean>;
}

/** The highest revision of each stream of a page. */
function headsOf(points: readonly TimedPoint[]): Map<StreamName, Revision> {
  const heads = new Map<StreamName, Revision>();
  for (const { stream, revision } of points) {
    heads.set(stream, Math.max(revision, heads.get(stream) ?? 0));
  }
  return heads;
}

/** Makes the repair of a process. */
export function makeRepair(options: RepairOptions): Repair {
  const { journal, views, clock, time, membership, observer } = options;
  const buried = new Set<string>();
  let patrolledTo: TimedPoint | undefined;
  let stopped = false;

  async function repairPage(points: readonly TimedPoint[], all: boolean): Promise<number> {
    const heads = headsOf(points);
    const rows = await views.get([...heads.keys()]);
    const shown = new Map(rows.map((row) => [row.stream, row.revision]));
    const behind = [...heads].filter(([stream, head]) => all || (shown.get(stream) ?? 0) < head);
    let repaired = 0;
    for (const [stream] of behind) {
      try {
        if (!(await options.reproject(stream))) continue;
        observer.streamRepaired(stream);
        repaired += 1;
      } catch (error) {
        // A stream that cannot be read must not hide the ones behind it.
        if (!(error instanceof RefusedError)) throw error;
        observer.backgroundFailed("repair of a stream", error);
      }
    }
    return repaired;
  }

  const pass: Repair["pass"] = async (since, { all, accept, onProgress, signal }) => {
    let commits = 0;
    let repaired = 0;
    for await (const points of walkJournal(journal, { since })) {
      const wanted = accept ? points.filter(({ stream }) => accept(stream)) : points;
      repaired += await repairPage(wanted, all);
      commits += wanted.length;
      onProgress?.({ commits, repaired });
      if (stopped || signal?.aborted) break;
    }
    return { commits, repaired };
  };

  /** The live replica with the smallest id does what one replica is enough for. */
  function isElected(): boolean {
    const ids = membership.live().map((row) => row.replicaId);
    return ids.every((replicaId) => options.replicaId <= replicaId);
  }

  async function afterOthers(): Promise<void> {
    const nowMs = time.nowMs();
    for (const row of membership.rows()) {
      const isStale = nowMs - row.heartbeatAt > STALE_MS;
      if (!isStale) buried.delete(row.replicaId);
      if (!isStale || buried.has(row.replicaId) || row.replicaId === options.replicaId) continue;
      await pass(row.lowWatermark, { all: false });
      buried.add(row.replicaId);
    }
  }

  async function patrol(): Promise<void> {
    const oldest = time.nowMs() - PATROL_WINDOW_MS;
    if (patrolledTo === undefined || patrolledTo.at < oldest) patrolledTo = undefined;
    let pages = 0;
    for await (const points of walkJournal(journal, { since: oldest, after: patrolledTo })) {
      const settled = points.filter((point) => point.at < time.nowMs() - LAG_MS);
      await repairPage(settled, false);
      patrolledTo = settled[settled.length - 1] ?? patrolledTo;
      pages += 1;
      if (settled.length < points.length || pages === PATROL_PAGES || stopped) return;
    }
  }

  async function beat(count: number): Promise<void> {
    try {
      if (count === 0) {
        const watermarks = membership.rows().map((row) => row.lowWatermark);
        if (watermarks.length > 0) await pass(Math.min(...watermarks), { all: false });
      } else if (isElected()) {
        await afterOthers();
        if ((count * STALE_MS) % PATROL_MS === 0) await patrol();
      }
    } catch (error) {
      observer.backgroundFailed("repair of views", error);
    }
    if (!stopped) clock.after(STALE_MS, () => void beat(count + 1));
  }

  return {
    start: () => void beat(0),
    stop: () => {
      stopped = true;
    },
    pass,
  };
}
