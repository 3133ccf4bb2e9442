/**
 * Records of operations that ended and left the registry: the header as it was, enough to answer
 * GetOperation, a wait, a second registration and ListCompletions at any later time.
 */
import type { ForgottenRecord } from "../shared/aggregate.ts";
import type { OperationId } from "../shared/ids.ts";
import type { OperationRegistry } from "./operation-state.ts";
import { operationBody } from "./record-codec.ts";

/** Record class of operations that ended; the ordinal is the completion sequence. */
export const OPERATIONS_CLASS = "operations";

/** Lookup of an operation by its id. */
export const operationLookup = (operationId: OperationId): string => `id:${operationId}`;

/** How many operations could leave the state now. */
export function forgettableOperationCount(registry: OperationRegistry): number {
  return registry.ended.size - (registry.watermark - registry.releasedThrough);
}

/** Rows for every operation that could leave the state now, in order of completion. */
export function forgettableOperations(registry: OperationRegistry): readonly ForgottenRecord[] {
  const rows: ForgottenRecord[] = [];
  for (const [sequence, operationId] of registry.ended.entries()) {
    if (sequence > registry.releasedThrough) break;
    const operation = registry.operations.get(operationId);
    if (operation?.end === undefined) continue;
    rows.push({
      recordClass: OPERATIONS_CLASS,
      ordinal: sequence,
      lookups: [operationLookup(operationId)],
      revision: operation.end.revision,
      body: operationBody(operation),
    });
  }
  return rows;
}

/** The registry without the operations of rows that are durable. */
export function withoutOperations(
  registry: OperationRegistry,
  rows: readonly ForgottenRecord[],
): OperationRegistry {
  const sequences = rows
    .filter((row) => row.recordClass === OPERATIONS_CLASS)
    .map((row) => row.ordinal);
  if (sequences.length === 0) return registry;
  const operationIds = sequences.flatMap((sequence): readonly OperationId[] => {
    const operationId = registry.ended.get(sequence);
    return operationId === undefined ? [] : [operationId];
  });
  return {
    ...registry,
    operations: registry.operations.withoutKeys(operationIds),
    ended: registry.ended.withoutKeys(sequences),
  };
}
