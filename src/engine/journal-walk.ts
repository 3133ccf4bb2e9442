/**
 * Walks the journal by time, over the commits of all streams: the one way in which repair, rebuilds
 * and change feeds meet commits in the order of their time. A commit that is still on its way may
 * land behind the walk; who must not miss it goes by the low watermark of the replicas.
 */
import type { TimeMs } from "../core/shared/ids.ts";
import type { JournalStore, TimedPoint } from "./ports.ts";

/** Points of a full page. */
const PAGE_POINTS = 2000;

/** Where a walk begins. */
export interface WalkStart {
  readonly since: TimeMs;
  /** The last point of an earlier walk, which is left out with everything before it. */
  readonly after?: TimedPoint | undefined;
}

/** Pages of points in the order of time up to the present; the last one is not full. */
export async function* walkJournal(
  journal: Pick<JournalStore, "pointsSince">,
  start: WalkStart,
): AsyncGenerator<readonly TimedPoint[], void> {
  for (let { after } = start; ; ) {
    const points = await journal.pointsSince(start.since, PAGE_POINTS, after);
    yield points;
    if (points.length < PAGE_POINTS) return;
    after = points.at(-1);
  }
}
