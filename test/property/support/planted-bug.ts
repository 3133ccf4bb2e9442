// What a planted bug is made of.
import type { runtimeAggregate } from "../../../src/core/runtime/aggregate.ts";
import type { Storage } from "../../../src/engine/ports.ts";
import type { LedgerAggregate } from "./ledger-aggregate.ts";

/** A bug that is planted on purpose; every part is optional. */
export interface PlantedBug {
  /** Goes between an engine and its storage. */
  readonly wrapStorage?: (storage: Storage) => Storage;
  /** Takes the place of the ledger. */
  readonly ledger?: LedgerAggregate;
  /** Takes the place of the runtime. */
  readonly runtime?: typeof runtimeAggregate;
}
