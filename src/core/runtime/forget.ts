/**
 * What may leave the folded state: inputs that are over, receipts of ended runs, and operations
 * that left the registry. What decisions need of them later (keys, ids, content hashes) is found in
 * their records (R8).
 */
import type { ForgottenRecord } from "../shared/aggregate.ts";
import {
  headerFromRecord,
  inputRecord,
  INPUTS_CLASS,
  receiptRecord,
  RECEIPTS_CLASS,
} from "./record-codec.ts";
import { isTerminal } from "./input-lifecycle.ts";
import { headerOf, liveCount } from "./lanes.ts";
import {
  forgettableOperationCount,
  forgettableOperations,
  withoutOperations,
} from "./operation-record.ts";
import { nextSequence } from "./receipt.ts";
import type { InputHeader, RuntimeState } from "./state.ts";

/** Receipts of the run in flight; they stay until it ends. */
function heldReceipts(state: RuntimeState): number {
  return state.run === null ? 0 : nextSequence(state.run);
}

/** How many terminal inputs, receipts and ended operations could leave the state now. */
export function forgettableCount(state: RuntimeState): number {
  const inputs = state.inputs.size - liveCount(state);
  const receipts = state.receipts.size - heldReceipts(state);
  return inputs + receipts + forgettableOperationCount(state.operations);
}

/** Rows for everything that could leave the state now, inputs first, each class oldest first. */
export function forgettable(state: RuntimeState): readonly ForgottenRecord[] {
  const rows: ForgottenRecord[] = [];
  for (const inputId of state.admitted.values()) {
    const header = headerOf(state, inputId);
    if (isTerminal(header.state)) rows.push(inputRecord(header));
  }
  for (const receipt of state.receipts.values()) {
    if (receipt.runId !== state.run?.runId) rows.push(receiptRecord(receipt));
  }
  rows.push(...forgettableOperations(state.operations));
  return rows;
}

function keysOf(state: RuntimeState, headers: readonly InputHeader[]): readonly string[] {
  return headers.flatMap(({ idempotencyKey, inputId }) => {
    if (idempotencyKey === undefined) return [];
    return state.keys.get(idempotencyKey) === inputId ? [idempotencyKey] : [];
  });
}

/** The state without the facts of rows that are durable. */
export function forget(state: RuntimeState, rows: readonly ForgottenRecord[]): RuntimeState {
  const inputRows = rows.filter((row) => row.recordClass === INPUTS_CLASS);
  const receiptRows = rows.filter((row) => row.recordClass === RECEIPTS_CLASS);
  const headers = inputRows.map((row) => headerFromRecord(row.body));
  return {
    ...state,
    inputs: state.inputs.withoutKeys(headers.map((header) => header.inputId)),
    admitted: state.admitted.withoutKeys(headers.map((header) => header.ordinal)),
    keys: state.keys.withoutKeys(keysOf(state, headers)),
    receipts: state.receipts.withoutKeys(receiptRows.map((row) => row.ordinal)),
    operations: withoutOperations(state.operations, rows),
  };
}
