/**
 * Naming an input by its id or by its idempotency key, and finding it: live or over in the state,
 * or forgotten in its record.
 */
import type { DecideContext, RecordLookup } from "../shared/aggregate.ts";
import type { InputId } from "../shared/ids.ts";
import { headerFromRecord, inputLookup, INPUTS_CLASS, keyLookup } from "./record-codec.ts";
import type { InputHeader, RuntimeState } from "./state.ts";

/** Names an input by its id or by its idempotency key. */
export type InputTarget = { readonly inputId: InputId } | { readonly idempotencyKey: string };

/** The header that the state holds of an input; undefined when it holds none. */
export function heldHeader(state: RuntimeState, target: InputTarget): InputHeader | undefined {
  const inputId = "inputId" in target ? target.inputId : state.keys.get(target.idempotencyKey);
  return inputId === undefined ? undefined : state.inputs.get(inputId);
}

/** Where the record of an input is found. */
export function lookupOfTarget(target: InputTarget): string {
  return "inputId" in target ? inputLookup(target.inputId) : keyLookup(target.idempotencyKey);
}

/** The lookup that finding an input needs; undefined when the state holds it. */
export function missingLookup(state: RuntimeState, target: InputTarget): RecordLookup | undefined {
  if (heldHeader(state, target) !== undefined) return undefined;
  return { recordClass: INPUTS_CLASS, lookup: lookupOfTarget(target) };
}

/** The header of an input, live or forgotten; undefined when the runtime never admitted it. */
export function findHeader(
  state: RuntimeState,
  target: InputTarget,
  context: DecideContext,
): InputHeader | undefined {
  const held = heldHeader(state, target);
  if (held !== undefined) return held;
  const record = context.found.find(INPUTS_CLASS, lookupOfTarget(target));
  return record === undefined ? undefined : headerFromRecord(record);
}
