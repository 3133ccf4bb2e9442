/** What the process registry is built from: everything it needs and nothing else. */
import type { ProcessLeases } from "../dispatch/process-leases.ts";
import type { JournalTail } from "../engine/journal-tail.ts";
import type { Clock, Entropy, JournalStore, StorageFacts, ViewStore } from "../engine/ports.ts";
import type { GrantServiceOptions } from "./grant-options.ts";
import type { EventSchemas } from "./event-schemas.ts";
import type { ProcessWaits } from "./process-waits.ts";
import type { RpcLimits } from "./runtime-options.ts";

/** What the process registry works with. */
export interface ProcessServiceOptions extends GrantServiceOptions {
  readonly views: Pick<ViewStore, "list" | "get" | "lastId">;
  readonly journal: Pick<JournalStore, "pointsSince">;
  readonly tail: JournalTail;
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  readonly entropy: Pick<Entropy, "freshId">;
  readonly limits: Pick<
    RpcLimits,
    "inputPayloadBytesMax" | "longPollMaxMs" | "watchBufferEventsMax" | "watchBufferBytesMax"
  >;
  readonly facts: Pick<StorageFacts, "durabilityTier">;
  readonly schemas: EventSchemas;
  readonly leases: Pick<ProcessLeases, "claim" | "claimNext" | "renew" | "withTimeLeft">;
  readonly waits: ProcessWaits;
  /** Aborts when the server begins to go down: what waits is answered. */
  readonly drainSignal: AbortSignal;
}
