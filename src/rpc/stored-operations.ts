/**
 * Operations wherever they are: in the registry of the folded state, or in the records after they
 * left it, with the content of their results in the journal.
 */
import type { OperationResult } from "../core/runtime/operation-events.ts";
import { operationLookup, OPERATIONS_CLASS } from "../core/runtime/operation-record.ts";
import { operationNotFound } from "../core/runtime/operation-refusals.ts";
import type { Operation } from "../core/runtime/operation-state.ts";
import { operationFromRecord } from "../core/runtime/record-codec.ts";
import type { OperationId, StreamName } from "../core/shared/ids.ts";
import { RefusedError } from "../core/shared/refusal.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import { readCommits } from "./stored-commits.ts";
import { type RuntimeFold, runtimeEventsOf } from "./stored-inputs.ts";

/** Bytes of results in one answer. */
export const RESULTS_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes of an operation in an answer besides its result, near enough. */
const OPERATION_BYTES = 1_000;

/** An operation, in the registry or long out of it. Throws OPERATION_NOT_FOUND. */
export async function findOperation(
  streams: RuntimeStreams,
  stream: StreamName,
  fold: RuntimeFold,
  operationId: OperationId,
): Promise<Operation> {
  const held = fold.state.operations.operations.get(operationId);
  if (held) return held;
  const lookup = operationLookup(operationId);
  const record = await streams.findRecord(stream, fold, OPERATIONS_CLASS, lookup);
  if (record) return operationFromRecord(record);
  throw new RefusedError(operationNotFound(fold.state.runtimeId, operationId));
}

/** Bytes of an operation in an answer. */
export function operationBytes(operation: Operation, withResult: boolean): number {
  const outcome = operation.end?.outcome;
  const resultBytes = outcome?.type === "completed" && withResult ? outcome.resultBytes : 0;
  return OPERATION_BYTES + resultBytes;
}

/** As many of the operations, from the first one on, as an answer may hold with their results. */
function withinBounds(operations: readonly Operation[]): readonly Operation[] {
  let bytes = 0;
  return operations.filter((operation, index) => {
    bytes += operationBytes(operation, true);
    return index === 0 || bytes <= RESULTS_BYTES_MAX;
  });
}

/**
 * What completed operations came to, up to 4 MiB: as it is known already, else from the commits
 * that ended them.
 */
export async function readResults(
  streams: RuntimeStreams,
  stream: StreamName,
  operations: readonly Operation[],
  known: ReadonlyMap<OperationId, OperationResult> = new Map(),
): Promise<ReadonlyMap<OperationId, OperationResult>> {
  const completed = withinBounds(operations).filter(({ status }) => status === "completed");
  const results = new Map<OperationId, OperationResult>();
  for (const { operationId } of completed) {
    const result = known.get(operationId);
    if (result !== undefined) results.set(operationId, result);
  }
  const missing = completed.filter(({ operationId }) => !results.has(operationId));
  const wanted = new Set(missing.map(({ operationId }) => operationId));
  const revisions = missing.flatMap(({ end }) => end?.revision ?? []);
  for (const stored of (await readCommits(streams, stream, revisions)).values()) {
    for (const event of runtimeEventsOf(stored)) {
      if (event.type !== "operation_completed") continue;
      if (wanted.has(event.operationId)) results.set(event.operationId, event.result);
    }
  }
  return results;
}
