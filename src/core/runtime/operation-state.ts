/**
 * The registry of a runtime's operations: what runs beside its loop, such as background tools and
 * the members of a mob. Owns their headers; the content of a result stays in the journal.
 * Invariants, cited by tests:
 *   O1  the active operations are exactly those that have not ended
 *   O2  completion sequences have no gaps, and each operation has at most one
 *   O3  an operation ends once; whoever watches it is told by the commit that ends it
 *   O4  no more operations that ended are kept in the registry than the runtime is configured to
 *   O5  no cursor passes the watermark, and what was injected was observed
 *   O6  while the runtime is quiescent nothing that completed is unobserved
 *   O7  a background completion is told of by one continuation, unless a Reset or an end of the
 *       runtime comes first
 *   O8  a refused command changes nothing
 */
import type { EpochId, InputId, OperationId, Revision, TimeMs } from "../shared/ids.ts";
import { emptyOrderedMap, type OrderedMap } from "../shared/ordered-map.ts";

/** `mob_member_child` may have a peer channel and never wakes; `background_tool_op` wakes. */
export type OperationKind = "mob_member_child" | "background_tool_op";

/** How an operation can have ended. */
export type EndedOperationStatus =
  | "completed"
  | "failed"
  | "aborted"
  | "cancelled"
  | "retired"
  | "terminated";

/** Life of an operation. */
export type OperationStatus = "provisioning" | "running" | "retiring" | EndedOperationStatus;

/** What an operation is registered as. */
export interface OperationSpec {
  readonly operationId: OperationId;
  readonly kind: OperationKind;
  readonly displayName: string;
  readonly sourceLabel?: string;
  /** Runtime of the child, where the operation is one. */
  readonly childRuntimeId?: string;
  readonly expectPeerChannel: boolean;
}

/** How to reach the peer that an operation is. */
export interface PeerHandle {
  readonly peerName: string;
  readonly trustedPeer: {
    readonly name: string;
    readonly peerId: string;
    readonly address: string;
  };
}

/** What the state remembers of an end; the content of a result is read from the commit. */
export type OperationOutcome =
  | {
      readonly type: "completed";
      readonly isError: boolean;
      readonly durationMs?: number;
      readonly tokensUsed?: number;
      /** Bytes of the result as canonical JSON. */
      readonly resultBytes: number;
    }
  | { readonly type: "failed"; readonly error: string }
  | { readonly type: "aborted"; readonly reason?: string }
  | { readonly type: "cancelled"; readonly reason?: string }
  | { readonly type: "retired" }
  | { readonly type: "terminated"; readonly reason: string };

/** Where and how an operation ended. */
export interface OperationEnd {
  /** Place among all completions of the runtime, from 1, over all its epochs. */
  readonly sequence: number;
  readonly revision: Revision;
  readonly at: TimeMs;
  readonly outcome: OperationOutcome;
}

/** One operation. */
export interface Operation extends OperationSpec {
  /** Order of registration within the runtime, from 1. */
  readonly ordinal: number;
  readonly epochId: EpochId;
  readonly status: OperationStatus;
  readonly peerHandle?: PeerHandle;
  readonly progressCount: number;
  /** Of the last report that said one, 0 to 100. */
  readonly progressPercent?: number;
  readonly registeredAt: TimeMs;
  readonly startedAt?: TimeMs;
  readonly updatedAt: TimeMs;
  readonly end?: OperationEnd;
}

/** How far those who use completions have come; each is a completion sequence, 0 before any. */
export interface CompletionCursors {
  /** What the agent has taken out with CollectCompleted. */
  readonly agentApplied: number;
  /** What the runtime has looked at while it was quiescent, or covered by a continuation. */
  readonly runtimeObserved: number;
  /** What the last continuation tells of. */
  readonly runtimeInjected: number;
}

/** All operations that the state holds. */
export interface OperationRegistry {
  /** Those that have not ended, those kept in the registry, and those not yet forgotten. */
  readonly operations: OrderedMap<OperationId, Operation>;
  /** Those that have not ended, in order of registration. */
  readonly active: OrderedMap<number, OperationId>;
  /** Those that ended and are not forgotten, in order of completion. */
  readonly ended: OrderedMap<number, OperationId>;
  /** Highest ordinal given to an operation. */
  readonly ordinal: number;
  /** Highest completion sequence. */
  readonly watermark: number;
  /** Highest completion sequence of a background operation. */
  readonly backgroundWatermark: number;
  /** Ended operations above this sequence are kept in the registry. */
  readonly releasedThrough: number;
  readonly cursors: CompletionCursors;
  /** The last continuation that tells of completions; null when there was none. */
  readonly continuationId: InputId | null;
}

/** The registry of a runtime that never had an operation. */
export const EMPTY_REGISTRY: OperationRegistry = {
  operations: emptyOrderedMap(),
  active: emptyOrderedMap(),
  ended: emptyOrderedMap(),
  ordinal: 0,
  watermark: 0,
  backgroundWatermark: 0,
  releasedThrough: 0,
  cursors: { agentApplied: 0, runtimeObserved: 0, runtimeInjected: 0 },
  continuationId: null,
};

/** Whether an ended operation is still kept in the registry. */
export function isRetained(registry: OperationRegistry, operation: Operation): boolean {
  return operation.end !== undefined && operation.end.sequence > registry.releasedThrough;
}

/** How many ended operations are kept in the registry. */
export function retainedCount(registry: OperationRegistry): number {
  return registry.watermark - registry.releasedThrough;
}
