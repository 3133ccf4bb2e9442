// The decisions and the fold of the ledger.
import type { Aggregate, DecideContext, Decision } from "../../../src/core/shared/aggregate.ts";
import { FoldError } from "../../../src/core/shared/fold-error.ts";
import { emptyOrderedMap } from "../../../src/core/shared/ordered-map.ts";
import { refusalOf } from "../../../src/core/shared/refusal.ts";
import { ledgerEventFromJson, ledgerStateFromJson, ledgerStateToJson } from "./ledger-codec.ts";
import type {
  LedgerCommand,
  LedgerEvent,
  LedgerItem,
  LedgerReply,
  LedgerState,
} from "./ledger-types.ts";

/** The aggregate of ledgers. */
export type LedgerAggregate = Aggregate<LedgerState, LedgerCommand, LedgerEvent, LedgerReply>;
type LedgerDecision = Decision<LedgerEvent, LedgerReply>;

/** Consumed items in a state that make a checkpoint due, so that short runs have some. */
const FORGETTABLE_MAX = 2;

/** A ledger without items. */
const EMPTY_LEDGER: LedgerState = {
  total: 0,
  nextSerial: 1,
  consumedCount: 0,
  forgettable: 0,
  generation: 0,
  holder: "",
  items: emptyOrderedMap(),
  serials: emptyOrderedMap(),
};

function add(
  state: LedgerState,
  command: Extract<LedgerCommand, { type: "add" }>,
  context: DecideContext,
): LedgerDecision {
  const { key, amount } = command;
  const forgotten = context.found.find("items", key)?.["serial"];
  const serial = state.serials.get(key) ?? (typeof forgotten === "number" ? forgotten : undefined);
  if (serial !== undefined) {
    return { kind: "answer", reply: { serial, generation: 0, isDuplicate: true } };
  }
  return {
    kind: "commit",
    events: [{ type: "item_added", serial: state.nextSerial, key, amount }],
  };
}

function consume(
  state: LedgerState,
  command: Extract<LedgerCommand, { type: "consume" }>,
): LedgerDecision {
  const { generation, holder } = command;
  if (generation !== state.generation || holder !== state.holder) {
    const refusal = refusalOf("LEASE_LOST", "Another holder has the ledger", {
      generation: state.generation,
    });
    return { kind: "refuse", refusal };
  }
  for (const [serial, item] of state.items.entries()) {
    if (item.isConsumed) continue;
    return { kind: "commit", events: [{ type: "item_consumed", serial, generation, holder }] };
  }
  return { kind: "refuse", refusal: refusalOf("NOT_RUNNABLE", "Nothing is left to consume") };
}

function decide(
  state: LedgerState,
  command: LedgerCommand,
  context: DecideContext,
): LedgerDecision {
  switch (command.type) {
    case "add":
      return add(state, command, context);
    case "consume":
      return consume(state, command);
    case "claim": {
      const { holder } = command;
      const generation = state.generation + 1;
      return { kind: "commit", events: [{ type: "lease_granted", generation, holder }] };
    }
  }
}

function evolve(state: LedgerState, event: LedgerEvent): LedgerState {
  switch (event.type) {
    case "item_added": {
      const { serial, key, amount } = event;
      if (serial !== state.nextSerial) throw new FoldError(`item ${serial} is out of order`);
      return {
        ...state,
        total: state.total + amount,
        nextSerial: serial + 1,
        items: state.items.with(serial, { key, amount, isConsumed: false }),
        serials: state.serials.with(key, serial),
      };
    }
    case "item_consumed": {
      const item = state.items.get(event.serial);
      if (item === undefined) throw new FoldError(`item ${event.serial} is not there`);
      return {
        ...state,
        consumedCount: state.consumedCount + 1,
        forgettable: state.forgettable + 1,
        items: state.items.with(event.serial, { ...item, isConsumed: true }),
      };
    }
    case "lease_granted":
      return { ...state, generation: event.generation, holder: event.holder };
  }
}

function answer(command: LedgerCommand, events: readonly LedgerEvent[]): LedgerReply {
  const [event] = events;
  if (event === undefined) throw new TypeError(`${command.type} caused no event`);
  return {
    serial: "serial" in event ? event.serial : 0,
    generation: "generation" in event ? event.generation : 0,
    isDuplicate: false,
  };
}

function consumedItems(state: LedgerState): readonly (readonly [number, LedgerItem])[] {
  return [...state.items.entries()].filter(([, item]) => item.isConsumed);
}

/** The ledger. */
export const ledgerAggregate: LedgerAggregate = {
  kind: "ledger",
  foldVersion: 1,
  recordClasses: ["items"],
  initial: EMPTY_LEDGER,
  decide,
  evolve,
  answer,
  lookups: (state, command) =>
    command.type === "add" && !state.serials.has(command.key)
      ? [{ recordClass: "items", lookup: command.key }]
      : [],
  eventFromJson: ledgerEventFromJson,
  bytesOf: (state) => 200 + state.items.size * 300,
  summarize: (state) => ({
    state: state.generation === 0 ? "idle" : "held",
    labels: {},
    gone: false,
  }),
  facts: (state) => ({ total: state.total }),
  forgettableCount: (state) => (state.forgettable >= FORGETTABLE_MAX ? 1_000_000 : 0),
  forgettable: (state) =>
    consumedItems(state).map(([serial, item]) => ({
      recordClass: "items",
      ordinal: serial,
      lookups: [item.key],
      revision: 0,
      body: { serial, amount: item.amount },
    })),
  forget: (state, rows) => ({
    ...state,
    forgettable: state.forgettable - rows.length,
    items: state.items.withoutKeys(rows.map((row) => row.ordinal)),
    serials: state.serials.withoutKeys(rows.flatMap((row) => row.lookups)),
  }),
  stateToJson: ledgerStateToJson,
  stateFromJson: ledgerStateFromJson,
};
