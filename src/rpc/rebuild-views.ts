/** RebuildViews: which streams are meant, and how far the engine is with their rows. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { RebuildProgress, RebuildSelection } from "../engine/repair.ts";
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

const REPORT_INTERVAL_MS = 2_000;

/** Makes RebuildViews. */
export function makeRebuildViews(
  options: AdminServiceOptions,
): Pick<ServiceImpl<typeof AdminService>, "rebuildViews"> {
  const { journal, kinds, rebuild, clock } = options;

  function selectionOf(request: RebuildViewsRequest, callNamespace: string): RebuildSelection {
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
    if (named) return named.stream;
    return (stream) => {
      const address = parseStreamName(stream);
      if (!address || !kinds.has(address.kind)) return false;
      const isInNamespace = namespace === undefined || address.namespace === namespace;
      return isInNamespace && (kind === undefined || address.kind === kind);
    };
  }

  async function checkHistory(stream: StreamName): Promise<void> {
    if ((await journal.headOf(stream)) > 0) return;
    const message = "The stream has no commits in this namespace";
    throw new RefusedError(refusalOf("STREAM_NOT_FOUND", message, { stream }));
  }

  return {
    rebuildViews: async function* rebuildViews(request, context) {
      const selection = selectionOf(request, callerOf(context).namespace);
      if (typeof selection === "string") await checkHistory(selection);
      const startedMs = clock.monotonicMs();
      let reportedMs = startedMs;
      const report = (progress: RebuildProgress, done: boolean): RebuildViewsResponse => {
        reportedMs = clock.monotonicMs();
        return create(RebuildViewsResponseSchema, {
          streamsRead: BigInt(progress.streamsRead),
          rowsWritten: BigInt(progress.rowsWritten),
          streamsFailed: BigInt(progress.streamsFailed),
          elapsed: durationToProto(Math.round(reportedMs - startedMs)),
          done,
        });
      };
      let last: RebuildProgress = { streamsRead: 0, rowsWritten: 0, streamsFailed: 0 };
      for await (const progress of rebuild(selection)) {
        last = progress;
        if (context.signal.aborted) throw abortReasonOf(context.signal);
        if (clock.monotonicMs() - reportedMs >= REPORT_INTERVAL_MS) yield report(progress, false);
      }
      yield report(last, true);
    },
  };
}
