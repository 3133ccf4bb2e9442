/**
 * Records of what the state forgot: terminal inputs as their header, enough to answer GetInput,
 * AwaitInput, a duplicate and ListInputs later, and receipts of ended runs. A record is written by
 * this project and read as it is; members that a newer build adds are carried along.
 */
import type { ForgottenRecord } from "../shared/aggregate.ts";
import type { InputId, RunId } from "../shared/ids.ts";
import type { JsonObject } from "../shared/json.ts";
import type { Operation } from "./operation-state.ts";
import type { InputHeader, Receipt } from "./state.ts";

/** Record class of terminal inputs. */
export const INPUTS_CLASS = "inputs";
/** Record class of receipts of ended runs. */
export const RECEIPTS_CLASS = "receipts";

/** Lookup of an input by its id. */
export const inputLookup = (inputId: InputId): string => `id:${inputId}`;
/** Lookup of an input by its idempotency key. */
export const keyLookup = (idempotencyKey: string): string => `key:${idempotencyKey}`;
/** Lookup of a receipt by its run and its sequence within the run. */
export const receiptLookup = (runId: RunId, sequence: number): string => `run:${runId}:${sequence}`;

/** The record of a terminal input. */
export function inputRecord(header: InputHeader): ForgottenRecord {
  const { inputId, idempotencyKey } = header;
  return {
    recordClass: INPUTS_CLASS,
    ordinal: header.ordinal,
    lookups:
      idempotencyKey === undefined
        ? [inputLookup(inputId)]
        : [inputLookup(inputId), keyLookup(idempotencyKey)],
    revision: header.completedRevision ?? header.admittedRevision,
    body: header as unknown as JsonObject,
  };
}

/** The record of a receipt. */
export function receiptRecord(receipt: Receipt): ForgottenRecord {
  return {
    recordClass: RECEIPTS_CLASS,
    ordinal: receipt.ordinal,
    lookups: [receiptLookup(receipt.runId, receipt.sequence)],
    revision: receipt.revision,
    body: receipt as unknown as JsonObject,
  };
}

/** The body of an operation's record. */
export function operationBody(operation: Operation): JsonObject {
  return operation as unknown as JsonObject;
}

/** The operation that a record of class `operations` holds. */
export function operationFromRecord(body: JsonObject): Operation {
  return body as unknown as Operation;
}

/** The header that a record of class `inputs` holds. */
export function headerFromRecord(body: JsonObject): InputHeader {
  return body as unknown as InputHeader;
}

/** The receipt that a record of class `receipts` holds. */
export function receiptFromRecord(body: JsonObject): Receipt {
  return body as unknown as Receipt;
}
