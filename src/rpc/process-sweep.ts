/**
 * Sweeps over the live processes of a namespace, by name, in pages under a bound: the last name
 * that was there when the sweep began, so that it ends however fast others register.
 */
import type { TimeMs } from "../core/shared/ids.ts";
import type { StreamQuery, StreamRow } from "../engine/ports.ts";
import { positionsOf, positionsTokenOf } from "./codec/page-token.ts";
import { PROCESS_KIND } from "./process-calls.ts";
import type { ProcessServiceOptions } from "./process-options.ts";
import { viewsAsOf } from "./views-as-of.ts";

/** Which live processes of a namespace. */
interface LiveSelection {
  readonly namespace: string;
  readonly kind?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** The query for the rows of live processes, without its page. */
export function liveProcesses({
  namespace,
  kind,
  labels,
}: LiveSelection): Omit<StreamQuery, "limit"> {
  return {
    kind: PROCESS_KIND,
    namespace,
    states: ["running"],
    ...(labels === undefined ? {} : { labels }),
    ...(kind === undefined ? {} : { pool: kind }),
    includeGone: false,
  };
}

/** Which page of which sweep. */
interface SweepTerms extends LiveSelection {
  /** What the sweep is called; tokens of another one are refused. */
  readonly list: string;
  readonly pageSize: number;
  readonly pageToken: string;
}

/** A page. */
interface SweepPage {
  readonly rows: readonly StreamRow[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
  readonly asOf: TimeMs;
}

/** Reads a page. Throws PAGE_TOKEN_INVALID. */
export async function sweepPage(
  options: ProcessServiceOptions,
  { pageSize, pageToken, ...filter }: SweepTerms,
): Promise<SweepPage> {
  const { views } = options;
  const positions = positionsOf(filter, pageToken);
  const asOf = await viewsAsOf(options);
  const throughId = positions?.[1] ?? (await views.lastId(PROCESS_KIND, filter.namespace));
  if (throughId === undefined) return { rows: [], nextPageToken: "", asOf };
  const afterId = positions?.[0];
  const rows = await views.list({
    ...liveProcesses(filter),
    ...(afterId === undefined ? {} : { afterId }),
    throughId,
    limit: pageSize,
  });
  const last = rows.length === pageSize ? rows.at(-1) : undefined;
  const nextPageToken = last ? positionsTokenOf(filter, [last.id, throughId]) : "";
  return { rows, nextPageToken, asOf };
}
