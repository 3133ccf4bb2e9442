/**
 * Events of operations: part of the runtime's stream, and so of the storage format. Once landed
 * they are only extended.
 */
import type { Json } from "../shared/json.ts";
import type { InputId, OperationId } from "../shared/ids.ts";
import type { OperationSpec, PeerHandle } from "./operation-state.ts";

/** What a completed operation came to; stays in the journal. */
export interface OperationResult {
  readonly content: string;
  readonly structured?: Json;
  /** True when the operation itself says that it went wrong. */
  readonly isError: boolean;
  readonly durationMs?: number;
  readonly tokensUsed?: number;
}

/** What the events of one operation carry. */
interface OfOperation {
  readonly operationId: OperationId;
}

/** What an event that ends one operation carries. */
interface Ending extends OfOperation {
  /** The completion sequence that it gets. */
  readonly sequence: number;
}

/** Everything that can happen to operations. */
export type OperationEvent =
  | ({
      readonly type: "operation_registered";
      /** Order of registration within the runtime, from 1. */
      readonly ordinal: number;
    } & OperationSpec)
  | ({ readonly type: "operation_provisioned" } & OfOperation)
  | ({ readonly type: "operation_peer_ready"; readonly peerHandle: PeerHandle } & OfOperation)
  | ({
      readonly type: "operation_progressed";
      readonly message?: string;
      /** 0 to 100. */
      readonly percent?: number;
    } & OfOperation)
  | ({ readonly type: "operation_retire_requested"; readonly reason?: string } & OfOperation)
  | ({ readonly type: "operation_provisioning_failed"; readonly error: string } & Ending)
  | ({ readonly type: "operation_provisioning_aborted"; readonly reason?: string } & Ending)
  | ({
      readonly type: "operation_completed";
      readonly result: OperationResult;
      readonly resultBytes: number;
    } & Ending)
  | ({ readonly type: "operation_failed"; readonly error: string } & Ending)
  | ({ readonly type: "operation_cancelled"; readonly reason?: string } & Ending)
  | ({ readonly type: "operation_retired" } & Ending)
  | {
      /** Every operation that has not ended is terminated, in order of registration. */
      readonly type: "operations_terminated";
      readonly reason: string;
      readonly operationCount: number;
      /** The completion sequence of the first one. */
      readonly firstSequence: number;
    }
  | {
      /** The agent took these out of the registry, and has applied everything through there. */
      readonly type: "operations_collected";
      readonly operationIds: readonly OperationId[];
      readonly throughSequence: number;
    }
  | {
      /** The runtime has looked at all completions through there. */
      readonly type: "completions_observed";
      readonly throughSequence: number;
      /** The continuation that tells of the background ones among them. */
      readonly continuationId?: InputId;
    };

/** The discriminators of all events of operations. */
export type OperationEventType = OperationEvent["type"];
