/**
 * Commands to a runtime and what they answer. Executor commands carry the generation: `decide`
 * fences them. Ids of inputs are made at the edge, ids of runs and epochs by the context.
 */
import type { Json } from "../shared/json.ts";
import type {
  EpochId,
  ExecutorId,
  Generation,
  IncarnationId,
  InputId,
  RunId,
  RuntimeId,
  TimeMs,
} from "../shared/ids.ts";
import type { DrainExitReason, PeerEndpoint } from "./drain-state.ts";
import type { Input, RunOutcome } from "./input.ts";
import type { InputTarget } from "./input-target.ts";
import type { OperationCommand, OperationReply } from "./operation-commands.ts";
import type { OrdinalRange } from "./ordinal-ranges.ts";
import type {
  InputHeader,
  InputOutcome,
  Receipt,
  RuntimeConfig,
  RuntimeStateName,
} from "./state.ts";
import type { TaskAnnouncement } from "./task-control.ts";

/** Conditions that a lifecycle action puts on the state it meets. */
export interface Preconditions {
  readonly expectedEpochId?: EpochId;
  readonly expectedState?: RuntimeStateName;
}

/** What every lifecycle action carries besides its own options. */
interface Action extends Preconditions {
  /** Why, for the history; free text. */
  readonly reason?: string;
}

/** Fencing of every executor write. */
interface ExecutorWrite {
  readonly runId: RunId;
  readonly generation: Generation;
  /** Hash of the call's body, to answer a repetition as the first time. */
  readonly bodyHash: string;
}

/** A boundary as the executor reports it. */
export interface BoundaryReport {
  readonly boundary: "run_start" | "run_checkpoint" | "immediate";
  readonly inputIds: readonly InputId[];
  /** 64 hex digits. */
  readonly conversationDigest?: string;
  readonly messageCount: number;
  /** Digest of the blob with the session after this boundary. */
  readonly sessionSnapshot?: string;
}

/** Which inputs are to be cancelled: named ones in order, or all from an anchor on. */
export type CancelSelection =
  | { readonly type: "targets"; readonly targets: readonly InputTarget[] }
  | { readonly type: "suffix"; readonly anchor: InputTarget };

/** An input to be taken in. */
export interface IngestCommand {
  readonly type: "ingest";
  readonly runtimeId: RuntimeId;
  readonly input: Input;
  readonly bodyHash: string;
  readonly payloadBytes: number;
  readonly withoutWake: boolean;
  /** Registers the runtime with `defaults` when nobody ensured it. */
  readonly ensure: boolean;
  readonly defaults: RuntimeConfig;
  /** True when the edge made the input id, so that no lookup of it is needed. */
  readonly inputIdIsFresh: boolean;
}

/** Everything a runtime can be asked to do. */
export type RuntimeCommand =
  | OperationCommand
  | {
      readonly type: "ensure_runtime";
      readonly runtimeId: RuntimeId;
      /** Members that are present replace those of the configuration. */
      readonly config: Partial<RuntimeConfig>;
      /** Values for members that neither the request nor the runtime has. */
      readonly defaults: RuntimeConfig;
    }
  | IngestCommand
  | {
      /** Takes an input in and starts its run on the caller. */
      readonly type: "ingest_and_run";
      readonly ingest: IngestCommand;
      readonly executorId: ExecutorId;
      readonly incarnationId: IncarnationId;
      readonly ttlMs: number;
    }
  | ({ readonly type: "unregister_runtime"; readonly fenceExecutor: boolean } & Action)
  | ({ readonly type: "retire"; readonly abandonIfUnattached: boolean } & Action)
  | ({ readonly type: "recycle" } & Action)
  | ({ readonly type: "reset" } & Action)
  | ({ readonly type: "recover"; readonly fenceExecutor: boolean } & Action)
  | ({ readonly type: "destroy" } & Action)
  | ({ readonly type: "stop" } & Action)
  | ({ readonly type: "cancel_inputs"; readonly selection: CancelSelection } & Action)
  | { readonly type: "set_silent_intents"; readonly intents: readonly string[] }
  | { readonly type: "interrupt_run"; readonly runId?: RunId; readonly reason?: string }
  | {
      readonly type: "publish_event";
      readonly eventId: string;
      readonly eventCode: string;
      readonly payload: Json;
      readonly causationId?: string;
      readonly correlationId?: string;
    }
  | {
      /** The executor that holds the runtime is to hear of a background task of its session. */
      readonly type: "announce_task";
      readonly announcement: TaskAnnouncement;
    }
  | {
      /** An executor that attached naming the runtime asks for its lease. */
      readonly type: "grant_lease";
      readonly executorId: ExecutorId;
      readonly incarnationId: IncarnationId;
      readonly ttlMs: number;
    }
  | {
      /** Starts a run on an executor, granting the lease where the executor has none yet. */
      readonly type: "assign_run";
      readonly executorId: ExecutorId;
      readonly incarnationId: IncarnationId;
      readonly ttlMs: number;
      readonly batchInputsMax: number;
      readonly batchBytesMax: number;
    }
  | {
      readonly type: "acknowledge_run";
      readonly runId: RunId;
      readonly generation: Generation;
    }
  | ({ readonly type: "commit_boundary"; readonly acceptSteer: boolean } & ExecutorWrite &
      BoundaryReport)
  | ({
      readonly type: "complete_run";
      readonly outcome: RunOutcome;
      readonly finalBoundary?: BoundaryReport;
      readonly takeNext: boolean;
      readonly batchInputsMax: number;
      readonly batchBytesMax: number;
    } & ExecutorWrite)
  | ({
      readonly type: "fail_run";
      readonly error: string;
      readonly recoverable: boolean;
    } & ExecutorWrite)
  | ({ readonly type: "cancel_run"; readonly requeue: boolean } & ExecutorWrite)
  | ({ readonly type: "release_run" } & ExecutorWrite)
  | {
      /** Detach: no-op answer when this incarnation does not hold the lease. */
      readonly type: "release_lease";
      readonly executorId: ExecutorId;
      readonly incarnationId: IncarnationId;
    }
  | {
      /** The incarnation's register lapsed for good. */
      readonly type: "lapse_lease";
      readonly executorId: ExecutorId;
      readonly incarnationId: IncarnationId;
    }
  | {
      readonly type: "update_peer_ingress";
      readonly keepAlive: boolean;
      /** Null takes the ingress away. */
      readonly endpoint: PeerEndpoint | null;
    }
  | {
      readonly type: "notify_drain_exited";
      readonly reason: DrainExitReason;
      /** The drain that is meant; 0 means the present one. */
      readonly sequence: number;
    }
  | {
      readonly type: "abort_drain";
      readonly reason?: string;
      /** The drain that is meant; the present one when absent. */
      readonly sequence?: number;
    }
  | {
      /** An executor that can drain takes the drain that waits for one. */
      readonly type: "host_drain";
      readonly executorId: ExecutorId;
      readonly incarnationId: IncarnationId;
    }
  | {
      /** A timer fired: takes back a run that nobody acknowledged. */
      readonly type: "tick";
      readonly acknowledgeTimeoutMs: number;
    };

/** How an ingest was answered. */
export type IngestOutcome =
  | { readonly type: "accepted"; readonly header: InputHeader }
  | {
      readonly type: "deduplicated";
      readonly inputId: InputId;
      readonly existingId: InputId;
      readonly sameContent: boolean;
    }
  | { readonly type: "rejected"; readonly inputId: InputId; readonly reason: RejectReason };

/** Why an ingest was rejected; an outcome, not an error. */
export type RejectReason =
  | { readonly type: "not_ready"; readonly state: RuntimeStateName }
  | { readonly type: "durability_violation"; readonly detail: string }
  | { readonly type: "peer_handling_mode_invalid"; readonly detail: string };

/** What became of one input that a caller wanted cancelled. */
export type CancelOutcome =
  | { readonly type: "cancelled"; readonly inputId: InputId }
  /** It is a member of a run, staged or under a receipt. */
  | { readonly type: "already_claimed"; readonly inputId: InputId; readonly runId: RunId }
  | { readonly type: "already_cancelled"; readonly inputId: InputId }
  /** It ended in another way. */
  | {
      readonly type: "already_completed";
      readonly inputId: InputId;
      readonly outcome: InputOutcome;
    }
  | { readonly type: "not_found" };

/** Everything from an anchor on, as it was when it was cancelled; ids follow from the ordinals. */
export interface CancelledSuffix {
  readonly anchorId: InputId;
  /** Ordinal of the anchor. */
  readonly first: number;
  /** Highest ordinal at that time. */
  readonly last: number;
  /** Members of the run in flight among them, and the run; absent when there were none. */
  readonly claimed?: readonly OrdinalRange[];
  readonly claimedBy?: RunId;
}

/** What the caller of a cancellation is told. */
export type CancelAnswer =
  | { readonly type: "targets"; readonly outcomes: readonly CancelOutcome[] }
  | { readonly type: "suffix"; readonly suffix: CancelledSuffix }
  | { readonly type: "anchor_not_found" };

/** A run that was handed to an executor in a commit. */
export interface StartedRun {
  readonly runId: RunId;
  readonly generation: Generation;
  readonly inputIds: readonly InputId[];
}

/** What commands answer, by kind. */
export type RuntimeReply =
  | OperationReply
  | {
      readonly type: "ensured";
      /** Whether the call registered the runtime, for the first time or again. */
      readonly created: boolean;
    }
  | { readonly type: "ingested"; readonly outcome: IngestOutcome }
  | {
      readonly type: "run_taken";
      /** The input as its admission left it. */
      readonly header: InputHeader;
      readonly run: StartedRun;
    }
  | {
      readonly type: "report";
      readonly inputsAbandoned: number;
      readonly inputsPendingDrain: number;
      readonly inputsTransferred: number;
      readonly inputsRecovered: number;
      readonly inputsRequeued: number;
      readonly details: readonly string[];
    }
  | {
      readonly type: "inputs_cancelled";
      readonly ordinals: readonly OrdinalRange[];
      readonly answer: CancelAnswer;
    }
  | { readonly type: "silent_intents_set"; readonly intents: readonly string[] }
  | { readonly type: "interrupted"; readonly runId: RunId }
  | { readonly type: "published"; readonly eventId: string }
  | { readonly type: "lease"; readonly generation: Generation }
  | { readonly type: "assigned"; readonly run: StartedRun }
  | { readonly type: "acknowledged" }
  | {
      readonly type: "boundary";
      readonly receipt: Receipt;
      readonly steered: readonly InputId[];
    }
  | { readonly type: "run_ended"; readonly runId: RunId; readonly next?: StartedRun }
  | { readonly type: "released"; readonly released: boolean }
  | { readonly type: "ingress_updated"; readonly spawned: boolean }
  | { readonly type: "drain_ended"; readonly ended: boolean }
  | { readonly type: "drain_hosted"; readonly hosted: boolean }
  | { readonly type: "ticked"; readonly at: TimeMs };
