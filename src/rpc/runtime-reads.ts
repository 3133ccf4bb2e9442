/** GetRuntime, ListRuntimes and VerifyRuntime: runtimes as a whole. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { RuntimeStateName } from "../core/runtime/state.ts";
import type { TimeMs } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { StreamRow } from "../engine/ports.ts";
import type { Runtime } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  GetRuntimeResponseSchema,
  type ListRuntimesRequest,
  ListRuntimesResponseSchema,
  type RuntimeControlPlaneService,
  VerifyRuntimeResponseSchema,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { checkEnums } from "./codec/enum-codec.ts";
import { runtimeStates } from "./codec/enums.ts";
import {
  checkCount,
  checkId,
  checkLabels,
  type FieldCheck,
  finish,
  makeFieldCheck,
  violate,
} from "./codec/field-check.ts";
import { checkPageSize, pageTokenOf, positionOf } from "./codec/page-token.ts";
import { hashToHex } from "./codec/receipt.ts";
import { runtimeFromRow, runtimeToProto } from "./codec/runtime.ts";
import { timestampToProto } from "./codec/time.ts";
import { checkRuntime, freshHistory, RUNTIME_KIND, runtimeNotRegistered } from "./runtime-calls.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";
import { viewsAsOf } from "./views-as-of.ts";

type ReadService = Pick<
  ServiceImpl<typeof RuntimeControlPlaneService>,
  "getRuntime" | "listRuntimes" | "verifyRuntime"
>;

/** The state that view rows of unregistered runtimes show. */
const UNREGISTERED = "unregistered";

/** A checked filter of a list of runtimes. */
interface RuntimeQuery {
  readonly states?: readonly RuntimeStateName[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly pool?: string;
  readonly runnable?: boolean;
  readonly registered: boolean;
}

function queryOf(check: FieldCheck, request: ListRuntimesRequest): RuntimeQuery {
  const { filter } = request;
  if (filter === undefined) return { registered: true };
  const states = checkEnums(check, runtimeStates, filter.states, "filter.states");
  const labels = checkLabels(check, filter.labels, "filter.labels");
  const { pool, runnable, registered = true } = filter;
  if (pool !== undefined) checkId(check, pool, "filter.pool");
  return {
    ...(states === undefined ? {} : { states }),
    ...(labels === undefined ? {} : { labels }),
    ...(pool === undefined ? {} : { pool }),
    ...(runnable === undefined ? {} : { runnable }),
    registered,
  };
}

/** Conditions that a view row shows only once it is read. */
function matches(query: RuntimeQuery, runtime: Runtime): boolean {
  const { states, runnable } = query;
  const name = runtimeStates.fromProto(runtime.state);
  const hasState = states === undefined || (name !== undefined && states.includes(name));
  return hasState && (runnable === undefined || runtime.runnable === runnable);
}

/** Makes the reading part of the service that is about whole runtimes. */
export function makeRuntimeReads(options: RuntimeServiceOptions): ReadService {
  const { streams, views, nowMs } = options;

  /** A row does not hold the inputs of a run in flight: such a runtime is read itself. */
  async function runtimeOf(row: StreamRow, now: TimeMs): Promise<Runtime> {
    const shown = runtimeFromRow(row, now);
    if (shown) return shown;
    const fold = await streams.fresh(row.stream);
    return runtimeToProto(row.namespace, fold.state, fold.revision, now);
  }

  async function rowsOf(
    namespace: string,
    query: RuntimeQuery,
    afterId: string | undefined,
    limit: number,
    now: TimeMs,
  ): Promise<readonly StreamRow[]> {
    const { labels, pool } = query;
    const known = query.states ?? runtimeStates.names;
    return await views.list({
      kind: RUNTIME_KIND,
      namespace,
      states: query.registered ? known : [UNREGISTERED],
      ...(labels === undefined ? {} : { labels }),
      ...(pool === undefined ? {} : { pool }),
      ...(query.runnable === true ? { runnableAt: now } : {}),
      includeGone: true,
      ...(afterId === undefined ? {} : { afterId }),
      limit,
    });
  }

  return {
    getRuntime: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const { atRevision } = request;
      if (atRevision === 0n) violate(check, "at_revision", "must be at least 1");
      const revision =
        atRevision === undefined ? undefined : checkCount(check, atRevision, "at_revision");
      finish(check);
      const head = await freshHistory(streams, runtime);
      const isPresent = revision === undefined;
      if (isPresent && head.state.registration !== "registered") {
        throw runtimeNotRegistered(runtime.runtimeId);
      }
      const fold = isPresent ? head : await streams.at(runtime.stream, revision);
      return create(GetRuntimeResponseSchema, {
        runtime: runtimeToProto(namespace, fold.state, fold.revision, nowMs()),
      });
    },

    listRuntimes: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const query = queryOf(check, request);
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const filter = { list: "runtimes", namespace, ...query };
      const afterId = positionOf(filter, request.pageToken);
      const asOf = await viewsAsOf(options);
      const now = nowMs();
      const rows = await rowsOf(namespace, query, afterId, pageSize, now);
      const runtimes = await Promise.all(rows.map((row) => runtimeOf(row, now)));
      const last = rows.length === pageSize ? rows.at(-1) : undefined;
      return create(ListRuntimesResponseSchema, {
        runtimes: runtimes.filter((runtime) => matches(query, runtime)),
        nextPageToken: last === undefined ? "" : pageTokenOf(filter, last.id),
        asOf: timestampToProto(asOf),
      });
    },

    verifyRuntime: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const { stream } = checkRuntime(check, namespace, request.runtimeId);
      finish(check);
      const found = await streams.verify(stream, context.signal);
      if (found.valid && found.commitCount === 0) {
        const message = "The runtime has no history";
        throw new RefusedError(refusalOf("STREAM_NOT_FOUND", message, { stream }));
      }
      const { valid, firstBadRevision, commitCount, headHash, problem } = found;
      return create(VerifyRuntimeResponseSchema, {
        valid,
        ...(valid ? {} : { firstBadRevision: BigInt(firstBadRevision) }),
        commitCount: BigInt(commitCount),
        headHash: commitCount === 0 ? "" : hashToHex(headHash),
        problem,
      });
    },
  };
}
