/** Commands about operations and what they answer. Ids are made at the edge. */
import type { EpochId, OperationId } from "../shared/ids.ts";
import type { OperationResult } from "./operation-events.ts";
import type { OperationSpec, PeerHandle } from "./operation-state.ts";

/** What a command about one operation carries. */
interface OfOperation {
  readonly operationId: OperationId;
}

/** What a command about the whole registry carries. */
interface OfRegistry {
  readonly expectedEpochId?: EpochId;
}

/** Everything that operations can be asked to do. */
export type OperationCommand =
  | ({
      readonly type: "register_operation";
      readonly spec: OperationSpec;
      /** True when the edge made the operation id, so that no lookup of it is needed. */
      readonly operationIdIsFresh: boolean;
    } & OfRegistry)
  | ({ readonly type: "mark_operation_provisioned" } & OfOperation)
  | ({ readonly type: "fail_operation_provisioning"; readonly error: string } & OfOperation)
  | ({ readonly type: "abort_operation_provisioning"; readonly reason?: string } & OfOperation)
  | ({
      readonly type: "report_operation_peer_ready";
      readonly peerHandle: PeerHandle;
    } & OfOperation)
  | ({
      readonly type: "report_operation_progress";
      readonly message?: string;
      readonly percent?: number;
    } & OfOperation)
  | ({
      readonly type: "complete_operation";
      readonly result: OperationResult;
      readonly resultBytes: number;
    } & OfOperation)
  | ({ readonly type: "fail_operation"; readonly error: string } & OfOperation)
  | ({ readonly type: "cancel_operation"; readonly reason?: string } & OfOperation)
  | ({ readonly type: "request_retire_operation"; readonly reason?: string } & OfOperation)
  | ({ readonly type: "mark_operation_retired" } & OfOperation)
  | ({ readonly type: "terminate_owner"; readonly reason: string } & OfRegistry)
  | ({
      readonly type: "collect_completed";
      /** Nothing behind this completion sequence is collected; all when absent. */
      readonly throughSequence?: number;
      readonly operationsMax: number;
      /** Bytes of results in one answer; the first operation is taken whatever its size. */
      readonly bytesMax: number;
    } & OfRegistry);

/** What commands about operations answer. */
export type OperationReply =
  | { readonly type: "operation"; readonly operationId: OperationId }
  | { readonly type: "owner_terminated"; readonly operationCount: number }
  | { readonly type: "collected"; readonly operationIds: readonly OperationId[] };
