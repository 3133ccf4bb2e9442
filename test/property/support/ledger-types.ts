// What the ledger holds: items with idempotency keys that are consumed once, in order, by whoever
// holds the lease. It has everything that the engine must get right, and nothing else.
import type { OrderedMap } from "../../../src/core/shared/ordered-map.ts";

/** One item; a consumed one may be forgotten by the state. */
export interface LedgerItem {
  readonly key: string;
  readonly amount: number;
  readonly isConsumed: boolean;
}

/** The folded ledger. */
export interface LedgerState {
  readonly total: number;
  readonly nextSerial: number;
  readonly consumedCount: number;
  readonly forgettable: number;
  readonly generation: number;
  readonly holder: string;
  readonly items: OrderedMap<number, LedgerItem>;
  readonly serials: OrderedMap<string, number>;
}

/** What happened to a ledger. */
export type LedgerEvent =
  | {
      readonly type: "item_added";
      readonly serial: number;
      readonly key: string;
      readonly amount: number;
    }
  | {
      readonly type: "item_consumed";
      readonly serial: number;
      readonly generation: number;
      readonly holder: string;
    }
  | { readonly type: "lease_granted"; readonly generation: number; readonly holder: string };

/** What can be asked of a ledger. */
export type LedgerCommand =
  | { readonly type: "add"; readonly key: string; readonly amount: number }
  | { readonly type: "consume"; readonly generation: number; readonly holder: string }
  | { readonly type: "claim"; readonly holder: string };

/** The answer: the item or lease that it is about. */
export interface LedgerReply {
  readonly serial: number;
  readonly generation: number;
  readonly isDuplicate: boolean;
}
