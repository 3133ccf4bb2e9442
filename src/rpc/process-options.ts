/** What the process registry is built from: everything it needs and nothing else. */
import type { TimeMs } from "../core/shared/ids.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import type { JournalTail } from "../engine/journal-tail.ts";
import type { Membership } from "../engine/membership.ts";
import type { Clock, Entropy, JournalStore, StorageFacts, ViewStore } from "../engine/ports.ts";
import type { EventSchemas } from "./event-schemas.ts";
import type { ProcessWaits } from "./process-waits.ts";
import type { RpcLimits } from "./runtime-options.ts";

/** What the process registry works with. */
export interface ProcessServiceOptions {
  readonly streams: ProcessStreams;
  readonly views: Pick<ViewStore, "list" | "get" | "lastId">;
  /** Writes this replica's view rows; rejects when the database does not take them. */
  readonly flushViews: () => Promise<void>;
  readonly journal: Pick<JournalStore, "pointsSince">;
  readonly tail: JournalTail;
  /** The other replicas, whose rows may lag behind. */
  readonly membership: Pick<Membership, "live">;
  readonly replicaId: string;
  /** Database time. */
  readonly nowMs: () => TimeMs;
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  readonly entropy: Pick<Entropy, "freshId">;
  readonly limits: Pick<
    RpcLimits,
    "inputPayloadBytesMax" | "longPollMaxMs" | "watchBufferEventsMax"
  >;
  readonly facts: Pick<StorageFacts, "durabilityTier">;
  readonly schemas: EventSchemas;
  readonly waits: ProcessWaits;
  /** Aborts when the server begins to go down: what waits is answered. */
  readonly drainSignal: AbortSignal;
}
