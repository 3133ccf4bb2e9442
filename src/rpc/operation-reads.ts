/** GetOperation, ListOperations and ListCompletions. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { OperationResult } from "../core/runtime/operation-events.ts";
import { OPERATIONS_CLASS } from "../core/runtime/operation-record.ts";
import { isRetained, type Operation } from "../core/runtime/operation-state.ts";
import { operationFromRecord } from "../core/runtime/record-codec.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import { type OperationId, operationIdOf, type StreamName } from "../core/shared/ids.ts";
import type { Completion, OperationRegistry } from "../../gen/keelson/operation/v1/messages_pb.ts";
import {
  GetOperationResponseSchema,
  ListCompletionsResponseSchema,
  ListOperationsResponseSchema,
  type OperationFilter,
  type OperationService,
} from "../../gen/keelson/operation/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { checkEnums } from "./codec/enum-codec.ts";
import {
  checkCount,
  checkId,
  checkOptionalId,
  type FieldCheck,
  finish,
  makeFieldCheck,
} from "./codec/field-check.ts";
import {
  completionEntryToProto,
  operationStatuses,
  registeredKinds,
  registryToProto,
} from "./codec/operation.ts";
import { checkPageSize, pageTokenOf, positionOf } from "./codec/page-token.ts";
import type { OperationServiceOptions } from "./operation-options.ts";
import { readPage } from "./ordinal-pages.ts";
import { checkRuntime, freshHistory } from "./runtime-calls.ts";
import { showOperation, showOperations } from "./shown-operations.ts";
import type { RuntimeFold } from "./stored-inputs.ts";
import {
  findOperation,
  operationBytes,
  readResults,
  RESULTS_BYTES_MAX,
} from "./stored-operations.ts";

type ReadService = Pick<
  ServiceImpl<typeof OperationService>,
  "getOperation" | "listOperations" | "listCompletions"
>;

const NO_RESULTS: ReadonlyMap<OperationId, OperationResult> = new Map();

/** A checked filter of a list of operations. */
interface OperationQuery {
  readonly kinds?: readonly string[];
  readonly statuses?: readonly string[];
  readonly active?: boolean;
  readonly epochId?: string;
}

function queryOf(check: FieldCheck, filter: OperationFilter | undefined): OperationQuery {
  if (filter === undefined) return {};
  const kinds = checkEnums(check, registeredKinds, filter.kinds, "filter.kinds");
  const statuses = checkEnums(check, operationStatuses, filter.statuses, "filter.statuses");
  const epochId = checkOptionalId(check, filter.epochId, "filter.epoch_id");
  const { active } = filter;
  return {
    ...(kinds === undefined ? {} : { kinds }),
    ...(statuses === undefined ? {} : { statuses }),
    ...(active === undefined ? {} : { active }),
    ...(epochId === undefined ? {} : { epochId }),
  };
}

function matches(query: OperationQuery, operation: Operation): boolean {
  const { kinds, statuses, active, epochId } = query;
  return (
    (kinds === undefined || kinds.includes(operation.kind)) &&
    (statuses === undefined || statuses.includes(operation.status)) &&
    (active === undefined || active === (operation.end === undefined)) &&
    (epochId === undefined || epochId === operation.epochId)
  );
}

/** Where an operation stands in a list: the name and the id, in a form that compares as text. */
function placeOf({ displayName, operationId }: Operation): string {
  return `${displayName}\0${operationId}`;
}

/** The operations of the registry behind a place, by name and id. */
function listed(
  { operations: registry }: RuntimeState,
  query: OperationQuery,
  after: string,
): readonly (readonly [string, Operation])[] {
  return [...registry.operations.values()]
    .filter((operation) => operation.end === undefined || isRetained(registry, operation))
    .filter((operation) => matches(query, operation))
    .map((operation) => [placeOf(operation), operation] as const)
    .filter(([place]) => place > after)
    .sort(([left], [right]) => (left < right ? -1 : 1));
}

/** A part of the feed of completions. */
export interface FeedPart {
  readonly completions: Completion[];
  readonly registry: OperationRegistry;
  readonly revision: bigint;
}

/** Which part of the feed is wanted. */
export interface FeedTerms {
  readonly afterSequence: number;
  readonly pageSize: number;
  readonly includeResults: boolean;
}

/** The feed behind a place, out of the records and a fold. */
export async function readFeed(
  streams: OperationServiceOptions["streams"],
  stream: StreamName,
  fold: RuntimeFold,
  terms: FeedTerms,
): Promise<FeedPart> {
  const { operations, ended } = fold.state.operations;
  const source = {
    streams,
    stream,
    recordClass: OPERATIONS_CLASS,
    fromRecord: operationFromRecord,
    // What the state holds of the feed is its end; a reader who is there needs no records.
    includesForgotten: (ended.minKey() ?? Infinity) > terms.afterSequence + 1,
    held: function* held(afterOrdinal: number) {
      for (const [ordinal, operationId] of ended.entries(afterOrdinal + 1)) {
        const item = operations.get(operationId);
        if (item) yield { ordinal, item };
      }
    },
  };
  const page = await readPage(source, terms.afterSequence, {
    pageSize: terms.pageSize,
    bytesMax: RESULTS_BYTES_MAX,
    bytesOf: (operation) => operationBytes(operation, terms.includeResults),
    matches: () => true,
  });
  const results = terms.includeResults
    ? await readResults(streams, stream, page.items)
    : NO_RESULTS;
  return {
    completions: page.items.flatMap(
      (operation) => completionEntryToProto(operation, results.get(operation.operationId)) ?? [],
    ),
    registry: registryToProto(fold.state),
    revision: BigInt(fold.revision),
  };
}

/** Which part of the feed a request wants. */
export function feedTermsOf(
  check: FieldCheck,
  request: {
    readonly afterSequence: bigint;
    readonly pageSize: number;
    readonly includeResults: boolean;
  },
): FeedTerms {
  return {
    afterSequence: checkCount(check, request.afterSequence, "after_sequence"),
    pageSize: checkPageSize(check, request.pageSize),
    includeResults: request.includeResults,
  };
}

/** Makes the reading part of the service. */
export function makeOperationReads(options: OperationServiceOptions): ReadService {
  const { streams, waits } = options;

  return {
    getOperation: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const operationId = operationIdOf(checkId(check, request.operationId, "operation_id"));
      finish(check);
      const fold = await freshHistory(streams, runtime);
      const operation = await findOperation(streams, runtime.stream, fold, operationId);
      const results = await readResults(streams, runtime.stream, [operation]);
      const result = results.get(operationId);
      return create(GetOperationResponseSchema, {
        operation: showOperation(waits, runtime.stream, fold, operation, result),
        revision: BigInt(fold.revision),
      });
    },

    listOperations: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const query = queryOf(check, request.filter);
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const { runtimeId, stream } = runtime;
      const filter = { list: "operations", namespace, runtimeId, ...query };
      const after = positionOf(filter, request.pageToken) ?? "";
      const fold = await freshHistory(streams, runtime);
      const all = listed(fold.state, query, after);
      const { includeResults } = request;
      let bytes = 0;
      const page = all.slice(0, pageSize).filter(([, operation], index) => {
        bytes += operationBytes(operation, includeResults);
        return index === 0 || bytes <= RESULTS_BYTES_MAX;
      });
      const operations = page.map(([, operation]) => operation);
      const results = includeResults ? await readResults(streams, stream, operations) : NO_RESULTS;
      const lastPlace = page.at(-1)?.[0];
      const isEnd = lastPlace === undefined || page.length === all.length;
      return create(ListOperationsResponseSchema, {
        operations: showOperations(waits, stream, fold, operations, results),
        nextPageToken: isEnd ? "" : pageTokenOf(filter, lastPlace),
        registry: registryToProto(fold.state),
        revision: BigInt(fold.revision),
      });
    },

    listCompletions: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const runtime = checkRuntime(check, namespace, request.runtimeId);
      const terms = feedTermsOf(check, request);
      finish(check);
      const fold = await freshHistory(streams, runtime);
      const part = await readFeed(streams, runtime.stream, fold, terms);
      return create(ListCompletionsResponseSchema, { ...part });
    },
  };
}
