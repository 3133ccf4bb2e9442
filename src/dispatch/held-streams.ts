/** Finds the runtimes that an incarnation holds, in the views and among the runs of its session. */
import type { Namespace, StreamName } from "../core/shared/ids.ts";
import type { ViewBacklog } from "../engine/view-backlog.ts";
import type { ViewStore } from "../engine/ports.ts";
import type { Session } from "./session.ts";

/** Most runtimes that one incarnation is looked up with. */
const STREAMS_MAX = 4000;

/** The runtimes of an incarnation; those of the last moments at other replicas may be missing. */
export type HeldStreams = (namespace: Namespace, holder: string) => Promise<readonly StreamName[]>;

/** The holder as summaries name it: without the namespace. */
export function viewHolderOf(holder: string): string {
  return holder.slice(holder.indexOf("/") + 1);
}

/** Makes the search. */
export function makeHeldStreams(
  backlog: Pick<ViewBacklog, "flush">,
  views: Pick<ViewStore, "heldBy">,
  sessionOf: (holder: string) => Session | undefined,
): HeldStreams {
  return async (namespace, holder) => {
    await backlog.flush();
    const rows = await views.heldBy(viewHolderOf(holder), STREAMS_MAX);
    const found = rows.filter((row) => row.namespace === namespace).map((row) => row.stream);
    return [...new Set([...found, ...(sessionOf(holder)?.held.keys() ?? [])])];
  };
}
