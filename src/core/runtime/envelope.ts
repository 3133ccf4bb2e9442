/** The event envelope that watchers see: one thing that happened, with a stable code. */
import type {
  EpochId,
  ExecutorId,
  Generation,
  IncarnationId,
  InputId,
  Revision,
  RunId,
  RuntimeId,
  TimeMs,
} from "../shared/ids.ts";
import type { Json } from "../shared/json.ts";
import type { DrainExitReason, DrainMode, DrainPhase } from "./drain-state.ts";
import type { InputKind } from "./input.ts";
import type { OperationEnvelopeEvent } from "./operation-envelopes.ts";
import type { AbandonReason, InputStateName, Lane, Receipt, RuntimeStateName } from "./state.ts";

/** What happened to an input. A duplicate makes no commit and so no envelope. */
export type InputChange =
  | { readonly code: "accepted"; readonly kind: InputKind }
  | { readonly code: "queued"; readonly lane: Lane }
  | { readonly code: "staged"; readonly runId: RunId }
  | { readonly code: "applied"; readonly runId: RunId; readonly boundarySequence: number }
  | { readonly code: "consumed"; readonly runId?: RunId }
  | { readonly code: "superseded"; readonly supersededBy: InputId }
  | { readonly code: "coalesced"; readonly aggregateId: InputId }
  | {
      readonly code: "abandoned";
      readonly reason: AbandonReason;
      readonly attempts: number;
      /** The error of the run that led to it, or why it was cancelled, where that is known. */
      readonly detail?: string;
    }
  | {
      /** A step without a code of its own, such as back to its lane. */
      readonly code: "state_transitioned";
      readonly from: InputStateName;
      readonly to: InputStateName;
      readonly cause: string;
    };

/** What happened to a run. */
export type RunChange =
  | { readonly code: "started"; readonly inputIds: readonly InputId[] }
  | { readonly code: "acknowledged" }
  | {
      readonly code: "boundary_committed";
      readonly receipt: Receipt;
      readonly steered: readonly InputId[];
    }
  | { readonly code: "completed" }
  | {
      readonly code: "failed";
      readonly error: string;
      readonly recoverable: boolean;
      readonly cause: "executor" | "lease" | "fence";
    }
  | { readonly code: "cancelled"; readonly requeue: boolean }
  | { readonly code: "returned"; readonly how: "released" | "taken_back" };

/** How a runtime came, changed its shape or went. */
export type TopologyChange =
  | "runtime_created"
  | "runtime_registered"
  | "runtime_configured"
  | "silent_intents_set"
  | "runtime_unregistered"
  | "runtime_retired"
  | "runtime_recycled"
  | "runtime_reset"
  | "runtime_recovered"
  | "runtime_stopped"
  | "runtime_destroyed";

/** What happened about the executor of a runtime. */
export type ExecutorChange =
  | "lease_granted"
  | "lease_released"
  | "lease_lapsed"
  | "lease_fenced"
  | "interrupt_requested";

/** What happened about the peer ingress of a runtime and its drain. */
export type DrainChange = "ingress_updated" | "started" | "spawned" | "exited" | "aborted";

/** What happened, by category. */
export type EnvelopeEvent =
  | OperationEnvelopeEvent
  | {
      readonly category: "input_lifecycle";
      readonly inputId: InputId;
      readonly change: InputChange;
    }
  | { readonly category: "run_lifecycle"; readonly runId: RunId; readonly change: RunChange }
  | {
      readonly category: "runtime_state_change";
      readonly from: RuntimeStateName;
      readonly to: RuntimeStateName;
    }
  | {
      readonly category: "topology";
      readonly change: TopologyChange;
      /** The epoch afterwards. */
      readonly epochId: EpochId;
      readonly reason?: string;
    }
  | {
      readonly category: "executor";
      readonly change: ExecutorChange;
      readonly executorId?: ExecutorId;
      readonly incarnationId?: IncarnationId;
      /** Generation after the event. */
      readonly generation: Generation;
      readonly runId?: RunId;
      readonly reason?: string;
    }
  | {
      readonly category: "drain";
      readonly change: DrainChange;
      /** The drain that it is about; 0 while there never was one. */
      readonly sequence: number;
      /** Phase after the event. */
      readonly phase: DrainPhase;
      readonly mode?: DrainMode;
      /** Where it is spawned, or ran until it ended. */
      readonly executorId?: ExecutorId;
      readonly incarnationId?: IncarnationId;
      /** Of an exit. */
      readonly exitReason?: DrainExitReason;
      readonly reason?: string;
    }
  | { readonly category: "published"; readonly payload: Json };

/** One envelope; `revision` and `index` are its place for watchers that resume. */
export interface RuntimeEventEnvelope {
  /**
   * The client's name for a published event, else made of the place: the same at every delivery.
   */
  readonly eventId: string;
  readonly at: TimeMs;
  readonly runtimeId: RuntimeId;
  readonly revision: Revision;
  /** Place among the envelopes of the commit, from 0. */
  readonly index: number;
  /** Stable code such as `input.queued`. */
  readonly eventCode: string;
  readonly event: EnvelopeEvent;
  readonly causationId?: string;
  /** Correlation of the input it is about, or as published. */
  readonly correlationId?: string;
  readonly published: boolean;
}
