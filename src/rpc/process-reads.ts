/** GetProcess, GetRegistryInfo, ListProcesses and ListNonTerminal: processes as a whole. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { GRANTS_MAX } from "../core/grants/decide.ts";
import { DECLARED_TYPES_MAX } from "../core/process/core-types.ts";
import type { ProcessFacts } from "../core/process/facts-codec.ts";
import type { Disposition } from "../core/process/registration.ts";
import type { StreamRow } from "../engine/ports.ts";
import {
  GetProcessResponseSchema,
  GetRegistryInfoResponseSchema,
  ListNonTerminalResponseSchema,
  type ListProcessesRequest,
  ListProcessesResponseSchema,
  type ProcessRegistryService,
  RegistryDurability,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { checkEnums } from "./codec/enum-codec.ts";
import {
  checkCount,
  checkId,
  checkLabels,
  type FieldCheck,
  finish,
  makeFieldCheck,
  violate,
} from "./codec/field-check.ts";
import { checkPageSize, PAGE_SIZE_MAX, pageTokenOf, positionOf } from "./codec/page-token.ts";
import { dispositions, type ProcessStateName, processStates } from "./codec/process-enums.ts";
import { LEASE_TTL_MS } from "./codec/process-lease.ts";
import { factsFromRow, processFromRow } from "./codec/process.ts";
import { durationToProto, timestampToProto } from "./codec/time.ts";
import { SCHEMA_BYTES_MAX } from "./json-schema.ts";
import { assertReadable, checkProcess, freshProcess, PROCESS_KIND } from "./process-calls.ts";
import { TRANSFER_MAX } from "./grant-changes.ts";
import type { ProcessServiceOptions } from "./process-options.ts";
import { sweepPage } from "./process-sweep.ts";
import { readProcess } from "./stored-processes.ts";
import { viewsAsOf } from "./views-as-of.ts";

type ReadService = Pick<
  ServiceImpl<typeof ProcessRegistryService>,
  "getProcess" | "getRegistryInfo" | "listProcesses" | "listNonTerminal"
>;

/** A checked filter of a list of processes. */
interface ProcessQuery {
  readonly states: readonly ProcessStateName[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly kind?: string;
  readonly dispositions?: readonly Disposition[];
  readonly waiting?: boolean;
  readonly originatorSessionId?: string;
  readonly claimable?: boolean;
}

function queryOf(check: FieldCheck, { filter }: ListProcessesRequest): ProcessQuery {
  if (filter === undefined) return { states: ["running"] };
  const states = checkEnums(check, processStates, filter.states, "filter.states");
  const labels = checkLabels(check, filter.labels, "filter.labels");
  const field = "filter.dispositions";
  const chosen = checkEnums(check, dispositions, filter.dispositions, field);
  const { kind, waiting, originatorSessionId, claimable } = filter;
  if (kind !== undefined) checkId(check, kind, "filter.kind");
  if (originatorSessionId !== undefined) {
    checkId(check, originatorSessionId, "filter.originator_session_id");
  }
  return {
    states: states ?? ["running"],
    ...(labels === undefined ? {} : { labels }),
    ...(kind === undefined ? {} : { kind }),
    ...(chosen === undefined ? {} : { dispositions: chosen }),
    ...(waiting === undefined ? {} : { waiting }),
    ...(originatorSessionId === undefined ? {} : { originatorSessionId }),
    ...(claimable === undefined ? {} : { claimable }),
  };
}

function sessionOf({ provenance: { originator } }: ProcessFacts): string | undefined {
  return originator.type === "session" ? originator.scope.sessionId : undefined;
}

/** Conditions that a view row shows only once it is read. */
function matches(query: ProcessQuery, row: StreamRow): boolean {
  const { dispositions: chosen, waiting, originatorSessionId, claimable } = query;
  const facts = factsFromRow(row);
  return (
    (chosen === undefined || chosen.includes(facts.disposition)) &&
    (waiting === undefined || waiting === (facts.wait !== null)) &&
    (originatorSessionId === undefined || originatorSessionId === sessionOf(facts)) &&
    (claimable === undefined || claimable === (row.runnableSince !== undefined))
  );
}

/** Makes the reading part of the service that is about whole processes. */
export function makeProcessReads(options: ProcessServiceOptions): ReadService {
  const { streams, views, limits, facts, nowMs } = options;

  return {
    getProcess: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const named = checkProcess(check, namespace, request.processId);
      const { atRevision } = request;
      if (atRevision === 0n) violate(check, "at_revision", "must be at least 1");
      const revision =
        atRevision === undefined ? undefined : checkCount(check, atRevision, "at_revision");
      finish(check);
      const { processId, stream } = named;
      const head = await freshProcess(streams, named);
      const fold = revision === undefined ? head : await streams.at(stream, revision);
      assertReadable(fold, processId);
      return create(GetProcessResponseSchema, {
        process: await readProcess(streams, stream, fold),
      });
    },

    getRegistryInfo: () => {
      const isDurable = facts.durabilityTier === "durable";
      return create(GetRegistryInfoResponseSchema, {
        durability: isDurable ? RegistryDurability.DURABLE : RegistryDurability.INLINE,
        limits: {
          payloadBytesMax: limits.inputPayloadBytesMax,
          schemaBytesMax: SCHEMA_BYTES_MAX,
          eventTypesMax: DECLARED_TYPES_MAX,
          sessionGrantsMax: GRANTS_MAX,
          transferGrantsMax: TRANSFER_MAX,
          pageSizeMax: PAGE_SIZE_MAX,
          leaseTtlMin: durationToProto(LEASE_TTL_MS.min),
          leaseTtlMax: durationToProto(LEASE_TTL_MS.max),
          waitMax: durationToProto(limits.longPollMaxMs),
        },
      });
    },

    listProcesses: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const query = queryOf(check, request);
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const filter = { list: "processes", namespace, ...query };
      const afterId = positionOf(filter, request.pageToken);
      const asOf = await viewsAsOf(options);
      const rows = await views.list({
        kind: PROCESS_KIND,
        namespace,
        states: query.states,
        ...(query.labels === undefined ? {} : { labels: query.labels }),
        ...(query.kind === undefined ? {} : { pool: query.kind }),
        ...(query.claimable === true ? { runnableAt: nowMs() } : {}),
        includeGone: false,
        ...(afterId === undefined ? {} : { afterId }),
        limit: pageSize,
      });
      const last = rows.length === pageSize ? rows.at(-1) : undefined;
      return create(ListProcessesResponseSchema, {
        processes: rows.filter((row) => matches(query, row)).map(processFromRow),
        nextPageToken: last === undefined ? "" : pageTokenOf(filter, last.id),
        asOf: timestampToProto(asOf),
      });
    },

    listNonTerminal: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const list = "non-terminal processes";
      const terms = { list, namespace, pageSize, pageToken: request.pageToken };
      const { rows, nextPageToken, asOf } = await sweepPage(options, terms);
      return create(ListNonTerminalResponseSchema, {
        processes: rows.map(processFromRow),
        nextPageToken,
        asOf: timestampToProto(asOf),
      });
    },
  };
}
