import type { Storage } from "../../src/engine/ports.ts";

/** What a group of cases works on: two connections to one database. */
export interface CaseSetup {
  readonly storage: () => Storage;
  readonly otherStorage: () => Storage;
  readonly breakSignals: () => Promise<void>;
}
