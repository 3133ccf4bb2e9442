/** PruneProcesses: takes ended processes out of the registry, a page of names at a time. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { processIdOf, type TimeMs } from "../core/shared/ids.ts";
import type { StreamRow } from "../engine/ports.ts";
import {
  type ProcessRegistryService,
  type PruneProcessesRequest,
  PruneProcessesResponseSchema,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { type Caller, callerOf } from "./caller.ts";
import { checkEnums } from "./codec/enum-codec.ts";
import {
  checkId,
  checkLabels,
  type FieldCheck,
  finish,
  makeFieldCheck,
  violate,
} from "./codec/field-check.ts";
import { checkPageSize, pageTokenOf, positionOf } from "./codec/page-token.ts";
import { cursorTimeOf } from "./codec/process-cursor.ts";
import { terminalStates } from "./codec/process-enums.ts";
import { factsFromRow } from "./codec/process.ts";
import { timestampFromProto } from "./codec/time.ts";
import { PROCESS_KIND, commandEnvelope } from "./process-calls.ts";
import type { ProcessServiceOptions } from "./process-options.ts";

type PruneService = Pick<ServiceImpl<typeof ProcessRegistryService>, "pruneProcesses">;

const PRUNES_AT_ONCE = 32;

/** One process that was pruned, or would be. */
interface Pruned {
  readonly processId: string;
  readonly eventCount: number;
}

function conditionsOf(check: FieldCheck, request: PruneProcessesRequest) {
  const { updatedBefore, kind } = request;
  const before = updatedBefore && timestampFromProto(updatedBefore);
  if (before === undefined) violate(check, "updated_before", "is required: years 1 to 9999");
  const states = checkEnums(check, terminalStates, request.states, "states");
  const labels = checkLabels(check, request.labels, "labels");
  if (kind !== undefined) checkId(check, kind, "kind");
  return {
    before: before ?? 0,
    states: states ?? terminalStates.names,
    ...(labels === undefined ? {} : { labels }),
    ...(kind === undefined ? {} : { pool: kind }),
  };
}

/** Makes the part of the service that ends the retention of processes. */
export function makeProcessPrune(options: ProcessServiceOptions): PruneService {
  const { streams, views, flushViews } = options;

  function wouldPrune(row: StreamRow, before: TimeMs): readonly Pruned[] {
    const { updatedAt, lastSequence } = factsFromRow(row);
    // A timer runs while wakes are on their way: they keep the process.
    const isOver = updatedAt < before && row.dueAt === undefined;
    return isOver ? [{ processId: row.id, eventCount: lastSequence }] : [];
  }

  async function prune(caller: Caller, row: StreamRow, before: TimeMs): Promise<readonly Pruned[]> {
    const processId = processIdOf(row.id);
    const command = { type: "prune_process", processId, before } as const;
    const terms = { requestId: undefined, hashOf: () => "", isRepeatable: true };
    const envelope = commandEnvelope(caller, command, terms);
    const { reply } = await streams.submit(row.stream, envelope);
    const isPruned = reply.type === "pruned" && reply.pruned;
    return isPruned ? [{ processId, eventCount: reply.eventCount }] : [];
  }

  return {
    pruneProcesses: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { namespace } = caller;
      const conditions = conditionsOf(check, request);
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const { watchedCursor, validateOnly } = request;
      const watched = watchedCursor === "" ? Infinity : cursorTimeOf(namespace, watchedCursor);
      const { before: updatedBefore, ...selection } = conditions;
      const before = Math.min(updatedBefore, watched);
      const filter = { list: "processes to prune", namespace, ...conditions, watchedCursor };
      const afterId = positionOf(filter, request.pageToken);
      await flushViews();
      const rows = await views.list({
        kind: PROCESS_KIND,
        namespace,
        ...selection,
        includeGone: false,
        ...(afterId === undefined ? {} : { afterId }),
        limit: pageSize,
      });
      const candidates = rows.filter((row) => wouldPrune(row, before).length > 0);
      const pruned: Pruned[] = [];
      for (let start = 0; start < candidates.length; start += PRUNES_AT_ONCE) {
        const some = candidates.slice(start, start + PRUNES_AT_ONCE);
        const done = some.map(async (row) =>
          validateOnly ? wouldPrune(row, before) : await prune(caller, row, before),
        );
        pruned.push(...(await Promise.all(done)).flat());
      }
      const last = rows.length === pageSize ? rows.at(-1) : undefined;
      const eventCount = pruned.reduce((sum, { eventCount: count }) => sum + count, 0);
      return create(PruneProcessesResponseSchema, {
        prunedProcessIds: pruned.map(({ processId }) => processId),
        prunedEventCount: BigInt(eventCount),
        nextPageToken: last === undefined ? "" : pageTokenOf(filter, last.id),
      });
    },
  };
}
