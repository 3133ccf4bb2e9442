/** Up to when the view rows are complete: what every list over them answers as `as_of`. */
import type { TimeMs } from "../core/shared/ids.ts";
import type { Membership } from "../engine/membership.ts";

/** What the views of this replica and of the others go by. */
export interface ViewsAsOfOptions {
  readonly flushViews: () => Promise<void>;
  readonly membership: Pick<Membership, "live">;
  readonly replicaId: string;
  readonly nowMs: () => TimeMs;
}

/**
 * Writes this replica's rows and answers the time before which everything acknowledged is in the
 * views: its own moment of writing, or the low watermark of another replica that lags behind.
 */
export async function viewsAsOf(options: ViewsAsOfOptions): Promise<TimeMs> {
  const flushedMs = options.nowMs();
  await options.flushViews();
  const others = options.membership
    .live()
    .filter((replica) => replica.replicaId !== options.replicaId)
    .map((replica) => replica.lowWatermark);
  return Math.min(flushedMs, ...others);
}
