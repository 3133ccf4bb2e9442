/**
 * RebuildViews: walks the journal in order of time and has every stream's row written again where
 * it is missing or behind. A stream is met at its first commit, so each is looked at once.
 */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { walkJournal } from "../engine/journal-walk.ts";
import type { TimedPoint } from "../engine/ports.ts";
import { parseStreamName } from "../engine/stream-name.ts";
import {
  type AdminService,
  type RebuildViewsRequest,
  type RebuildViewsResponse,
  RebuildViewsResponseSchema,
} from "../../gen/keelson/admin/v1/service_pb.ts";
import type { AdminServiceOptions } from "./admin-options.ts";
import { checkStream } from "./admin-streams.ts";
import { callerOf } from "./caller.ts";
import { checkOptionalId, finish, makeFieldCheck, violate } from "./codec/field-check.ts";
import { durationToProto } from "./codec/time.ts";
import { abortReasonOf } from "./errors.ts";

const STREAMS_AT_ONCE = 32;
const REPORT_INTERVAL_MS = 2_000;

/** How far a rebuild is. */
interface Progress {
  streamsRead: bigint;
  rowsWritten: bigint;
  streamsFailed: bigint;
}

/** Which streams are wanted. */
interface Selection {
  readonly namespace: string | undefined;
  readonly kind: string | undefined;
}

/** Makes RebuildViews. */
export function makeRebuildViews(
  options: AdminServiceOptions,
): Pick<ServiceImpl<typeof AdminService>, "rebuildViews"> {
  const { journal, views, kinds, flushViews, clock, observer } = options;

  function isWanted(point: TimedPoint, { namespace, kind }: Selection): boolean {
    if (point.revision !== 1) return false;
    const address = parseStreamName(point.stream);
    if (!address || !kinds.has(address.kind)) return false;
    return (
      (namespace === undefined || address.namespace === namespace) &&
      (kind === undefined || address.kind === kind)
    );
  }

  /** The first commits of streams, in order of time, page by page. */
  async function* streamsOf(selection: Selection): AsyncGenerator<readonly StreamName[]> {
    for await (const points of walkJournal(journal, { since: 0 })) {
      yield points.filter((point) => isWanted(point, selection)).map((point) => point.stream);
    }
  }

  async function rebuildOne(stream: StreamName, shown: number, progress: Progress): Promise<void> {
    try {
      const kind = parseStreamName(stream)?.kind ?? "";
      if ((await journal.headOf(stream)) > shown) {
        await kinds.get(kind)?.reproject(stream);
        progress.rowsWritten += 1n;
      }
    } catch (error) {
      // A damaged stream must not keep the others from being shown.
      observer.itemFailed("RebuildViews", error);
      progress.streamsFailed += 1n;
    }
    progress.streamsRead += 1n;
  }

  async function rebuild(streams: readonly StreamName[], progress: Progress): Promise<void> {
    for (let start = 0; start < streams.length; start += STREAMS_AT_ONCE) {
      const group = streams.slice(start, start + STREAMS_AT_ONCE);
      const rows = await views.get(group);
      const shown = new Map(rows.map((row) => [row.stream, row.revision]));
      await Promise.all(
        group.map((stream) => rebuildOne(stream, shown.get(stream) ?? 0, progress)),
      );
      await flushViews();
    }
  }

  function selectionOf(
    request: RebuildViewsRequest,
    callNamespace: string,
  ): { readonly selection: Selection; readonly stream: StreamName | undefined } {
    const check = makeFieldCheck();
    const namespace = checkOptionalId(check, request.namespace, "namespace");
    const kind = checkOptionalId(check, request.kind, "kind");
    if (kind !== undefined && !kinds.has(kind)) {
      violate(check, "kind", `must be one of ${[...kinds.keys()].join(", ")}`);
    }
    const named = request.stream && checkStream(check, callNamespace, request.stream, kinds);
    if (named && (namespace !== undefined || kind !== undefined)) {
      violate(check, "stream", "must not be given together with namespace or kind");
    }
    finish(check);
    return { selection: { namespace, kind }, stream: named?.stream };
  }

  async function* pagesOf(
    selection: Selection,
    stream: StreamName | undefined,
  ): AsyncGenerator<readonly StreamName[]> {
    if (stream === undefined) {
      yield* streamsOf(selection);
      return;
    }
    if ((await journal.headOf(stream)) === 0) {
      const message = "The stream has no commits in this namespace";
      throw new RefusedError(refusalOf("STREAM_NOT_FOUND", message, { stream }));
    }
    yield [stream];
  }

  return {
    rebuildViews: async function* rebuildViews(request, context) {
      const { selection, stream } = selectionOf(request, callerOf(context).namespace);
      const progress: Progress = { streamsRead: 0n, rowsWritten: 0n, streamsFailed: 0n };
      const startedMs = clock.monotonicMs();
      let reportedMs = startedMs;
      const report = (done: boolean): RebuildViewsResponse => {
        reportedMs = clock.monotonicMs();
        const elapsed = durationToProto(Math.round(reportedMs - startedMs));
        return create(RebuildViewsResponseSchema, { ...progress, elapsed, done });
      };
      for await (const streams of pagesOf(selection, stream)) {
        if (context.signal.aborted) throw abortReasonOf(context.signal);
        await rebuild(streams, progress);
        if (clock.monotonicMs() - reportedMs >= REPORT_INTERVAL_MS) yield report(false);
      }
      yield report(true);
    },
  };
}
