/** Words that commands, events and state of a process share. */
import type { IncarnationId, InputId, OwnerId, Revision } from "../shared/ids.ts";

/** The four ends of a process. */
export type TerminalStatus = "completed" | "failed" | "cancelled" | "abandoned";

/** One life of whoever holds leases. */
export interface LeaseOwner {
  readonly ownerId: OwnerId;
  readonly incarnationId: IncarnationId;
}

/** Where an appended event stands: enough to read it from the journal. */
export interface EventPlace {
  /** Event sequence. */
  readonly sequence: number;
  readonly revision: Revision;
  /** Index of the event within its commit. */
  readonly eventIndex: number;
}

/** What became of a wake for good. */
export type WakeSettlement =
  | { readonly type: "delivered"; readonly inputId: InputId }
  | { readonly type: "discarded"; readonly cause: "target_gone" | "expired" };

/** Why a wake could not be delivered yet. */
export type DeferralCause = "not_registered" | "not_ready" | "queue_full" | "failed";
