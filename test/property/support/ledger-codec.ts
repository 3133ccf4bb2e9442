// The stored forms of the ledger, the small aggregate that the engine is tested with.
import type { Json } from "../../../src/core/shared/json.ts";
import { orderedMapOf } from "../../../src/core/shared/ordered-map.ts";
import type { StoredCommit } from "../../../src/engine/ports.ts";
import type { LedgerEvent, LedgerItem, LedgerState } from "./ledger-types.ts";

const EVENT_TYPES: readonly string[] = ["item_added", "item_consumed", "lease_granted"];

/** An event out of a commit; "unknown" when this version does not know its type. */
export function ledgerEventFromJson(json: Json): LedgerEvent | "unknown" {
  const event = json as unknown as LedgerEvent;
  return EVENT_TYPES.includes(event.type) ? event : "unknown";
}

interface LedgerJson extends Omit<LedgerState, "items" | "serials"> {
  readonly items: readonly (readonly [number, LedgerItem])[];
  readonly serials: readonly (readonly [string, number])[];
}

/** The state as a checkpoint holds it. */
export function ledgerStateToJson(state: LedgerState): Json {
  const { items, serials, ...rest } = state;
  return {
    ...rest,
    items: [...items.entries()],
    serials: [...serials.entries()],
  } as unknown as Json;
}

/** The inverse of `ledgerStateToJson`. */
export function ledgerStateFromJson(json: Json): LedgerState {
  const { items, serials, ...rest } = json as unknown as LedgerJson;
  return { ...rest, items: orderedMapOf(items), serials: orderedMapOf(serials) };
}

/** The events of a stored commit, as they are stored. */
export function storedLedgerEvents(commit: StoredCommit): readonly LedgerEvent[] {
  return JSON.parse(commit.eventsText) as readonly LedgerEvent[];
}

/** Who asked for the commands of a stored commit. */
export function storedActors(commit: StoredCommit): readonly string[] {
  const marks = JSON.parse(commit.commandsText) as readonly { readonly actor?: string }[];
  return marks.flatMap((mark) => mark.actor ?? []);
}
