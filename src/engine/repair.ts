/**
 * Finds streams whose view row is missing or behind the journal and projects them again: after a
 * start, after another replica stopped beating, bit by bit as a precaution, and all when asked to.
 * Each pass goes by the time index of the journal and compares heads with rows.
 */
import type { Revision, StreamName, TimeMs } from "../core/shared/ids.ts";
import { RefusedError } from "../core/shared/refusal.ts";
import type { DatabaseTime } from "./database-time.ts";
import { walkJournal } from "./journal-walk.ts";
import type { Membership } from "./membership.ts";
import type { EngineObserver } from "./observer.ts";
import type { Clock, Storage, TimedPoint } from "./ports.ts";

const STREAMS_AT_ONCE = 16;
const PATROL_MS = 60_000;
const PATROL_PAGES = 10;
const PATROL_WINDOW_MS = 3_600_000;
/** Rows this fresh may still be in somebody's backlog. */
const LAG_MS = 8000;
const STALE_MS = 5000;

/** How far a rebuild is. */
export interface RebuildProgress {
  /** Streams looked at. */
  readonly streamsRead: number;
  /** Rows that were missing or behind and were written. */
  readonly rowsWritten: number;
  /** Streams that could not be read; the log names them. */
  readonly streamsFailed: number;
}

/** One stream, or those whose name passes. */
export type RebuildSelection = StreamName | ((stream: StreamName) => boolean);

/** Keeps the views true. */
export interface Repair {
  readonly start: () => void;
  readonly stop: () => void;
  /**
   * Has the rows of all selected streams written where they are missing or behind, in order of the
   * streams' age. Tells after every group of streams how far it is; whoever stops reading ends it.
   */
  readonly rebuild: (selection: RebuildSelection) => AsyncGenerator<RebuildProgress>;
}

/** What repair works with. */
export interface RepairOptions {
  readonly storage: Pick<Storage, "journal" | "views" | "replicas">;
  readonly clock: Clock;
  readonly time: DatabaseTime;
  readonly membership: Membership;
  readonly observer: EngineObserver;
  readonly replicaId: string;
  /** Projects a stream from its head; undefined for kinds that this server does not know. */
  readonly reproject: (stream: StreamName) => Promise<void> | undefined;
  /** Writes what was projected. */
  readonly flush: () => Promise<void>;
}

/** The highest revision of each stream of a page. */
function headsOf(points: readonly TimedPoint[]): Map<StreamName, Revision> {
  const heads = new Map<StreamName, Revision>();
  for (const { stream, revision } of points) {
    heads.set(stream, Math.max(revision, heads.get(stream) ?? 0));
  }
  return heads;
}

function* groupsOf(streams: readonly StreamName[]): Generator<readonly StreamName[]> {
  for (let start = 0; start < streams.length; start += STREAMS_AT_ONCE) {
    yield streams.slice(start, start + STREAMS_AT_ONCE);
  }
}

/** Makes the repair of a process. */
export function makeRepair(options: RepairOptions): Repair {
  const { clock, time, membership, observer } = options;
  const { journal, views, replicas } = options.storage;
  let patrolledTo: TimedPoint | undefined;
  let stopped = false;

  /** Projects a stream; false when that is not possible. */
  async function repairOne(stream: StreamName): Promise<boolean> {
    try {
      const projection = options.reproject(stream);
      if (!projection) return true;
      await projection;
      observer.streamRepaired(stream);
      return true;
    } catch (error) {
      // A stream that cannot be read must not hide the ones behind it.
      if (!(error instanceof RefusedError)) throw error;
      observer.backgroundFailed("repair of a stream", error);
      return false;
    }
  }

  /** Projects those of some streams whose rows are missing or behind. */
  async function repairStreams(
    streams: readonly StreamName[],
    headOf: (stream: StreamName) => Revision | Promise<Revision>,
  ): Promise<RebuildProgress> {
    const rows = await views.get(streams);
    const shown = new Map(rows.map((row) => [row.stream, row.revision]));
    const repaired = await Promise.all(
      streams.map(async (stream) => {
        if ((shown.get(stream) ?? 0) >= (await headOf(stream))) return undefined;
        return await repairOne(stream);
      }),
    );
    return {
      streamsRead: streams.length,
      rowsWritten: repaired.filter((done) => done === true).length,
      streamsFailed: repaired.filter((done) => done === false).length,
    };
  }

  /** Does so for the streams of a page of commits, whose last ones are their heads. */
  async function repairPage(points: readonly TimedPoint[]): Promise<void> {
    const heads = headsOf(points);
    for (const group of groupsOf([...heads.keys()])) {
      await repairStreams(group, (stream) => heads.get(stream) ?? 0);
    }
  }

  async function pass(since: TimeMs): Promise<void> {
    for await (const points of walkJournal(journal, { since })) {
      await repairPage(points);
      if (stopped) return;
    }
  }

  /** The selected streams, each at its first commit, so that it is met once. */
  async function* selected(selection: RebuildSelection): AsyncGenerator<readonly StreamName[]> {
    if (typeof selection === "string") {
      yield [selection];
      return;
    }
    for await (const points of walkJournal(journal, { since: 0 })) {
      const firsts = points.filter(({ revision }) => revision === 1);
      yield* groupsOf(firsts.map(({ stream }) => stream).filter(selection));
    }
  }

  async function* rebuild(selection: RebuildSelection): AsyncGenerator<RebuildProgress> {
    let progress: RebuildProgress = { streamsRead: 0, rowsWritten: 0, streamsFailed: 0 };
    for await (const streams of selected(selection)) {
      const group = await repairStreams(streams, journal.headOf);
      await options.flush();
      progress = {
        streamsRead: progress.streamsRead + group.streamsRead,
        rowsWritten: progress.rowsWritten + group.rowsWritten,
        streamsFailed: progress.streamsFailed + group.streamsFailed,
      };
      yield progress;
    }
  }

  /** The live replica with the smallest id does what one replica is enough for. */
  function isElected(): boolean {
    const ids = membership.live().map((row) => row.replicaId);
    return ids.every((replicaId) => options.replicaId <= replicaId);
  }

  async function afterOthers(): Promise<void> {
    const nowMs = time.nowMs();
    for (const row of membership.rows()) {
      const isStale = nowMs - row.heartbeatAt > STALE_MS;
      if (!isStale || row.buried || row.replicaId === options.replicaId) continue;
      await pass(row.lowWatermark);
      if (stopped) return;
      await options.flush();
      await replicas.bury(row);
    }
  }

  async function patrol(): Promise<void> {
    const oldest = time.nowMs() - PATROL_WINDOW_MS;
    if (patrolledTo === undefined || patrolledTo.at < oldest) patrolledTo = undefined;
    let pages = 0;
    for await (const points of walkJournal(journal, { since: oldest, after: patrolledTo })) {
      const settled = points.filter((point) => point.at < time.nowMs() - LAG_MS);
      await repairPage(settled);
      patrolledTo = settled[settled.length - 1] ?? patrolledTo;
      pages += 1;
      if (settled.length < points.length || pages === PATROL_PAGES || stopped) return;
    }
  }

  async function beat(count: number): Promise<void> {
    try {
      if (count === 0) {
        const unburied = membership.rows().filter((row) => !row.buried);
        const watermarks = unburied.map((row) => row.lowWatermark);
        if (watermarks.length > 0) await pass(Math.min(...watermarks));
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
    rebuild,
  };
}
