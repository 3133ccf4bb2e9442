/**
 * Events of a runtime stream: past tense, noun first. They are the storage format: once landed they
 * are only extended. Mass changes are one set-valued event, expanded per input only for watchers.
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
import type { CancelAnswer } from "./commands.ts";
import type { Input, RunOutcome } from "./input.ts";
import type { OperationEvent } from "./operation-events.ts";
import type { OrdinalRange } from "./ordinal-ranges.ts";
import type { DrainExitReason, DrainMode, PeerEndpoint } from "./drain-state.ts";
import type { AbandonReason, RuntimeConfig } from "./state.ts";

/** Settings that came later: configurations recorded before do not have them. */
type LaterSetting = "operationLimit" | "completedRetention";

/** A configuration as history has it. */
export type RecordedConfig = Omit<RuntimeConfig, LaterSetting> &
  Partial<Pick<RuntimeConfig, LaterSetting>>;

/** Everything that can happen to a runtime. */
export type RuntimeEvent =
  | OperationEvent
  | {
      /** First registration, or return of an unregistered runtime (same epoch). */
      readonly type: "runtime_registered";
      readonly runtimeId: RuntimeId;
      readonly epochId: EpochId;
      readonly config: RecordedConfig;
      /** True when an unregistered runtime comes back. */
      readonly returning: boolean;
    }
  | { readonly type: "runtime_configured"; readonly config: RecordedConfig }
  | { readonly type: "runtime_unregistered"; readonly reason?: string }
  | {
      /** Queued, or consumed on accept, as the policy row says. */
      readonly type: "input_admitted";
      readonly input: Input;
      /** Admission order within the runtime, from 1. */
      readonly ordinal: number;
      /** Reference of the policy row. */
      readonly policy: string;
      readonly bodyHash: string;
      readonly payloadBytes: number;
      /** True when the admission sets the durable wake flag. */
      readonly wakes: boolean;
    }
  | {
      readonly type: "input_superseded";
      readonly inputId: InputId;
      readonly supersededBy: InputId;
    }
  | { readonly type: "input_coalesced"; readonly inputId: InputId; readonly aggregateId: InputId }
  | {
      readonly type: "lease_granted";
      readonly generation: Generation;
      readonly executorId: ExecutorId;
      readonly incarnationId: IncarnationId;
      readonly ttlMs: number;
      /** True when the executor named the runtime; such a grant sets the wake flag. */
      readonly named: boolean;
    }
  | { readonly type: "lease_released"; readonly generation: Generation }
  | { readonly type: "lease_lapsed"; readonly generation: Generation }
  | {
      /** An operator took the runtime away from its executor; the generation is bumped. */
      readonly type: "lease_fenced";
      readonly generation: Generation;
    }
  | {
      /** Stages `inputIds` into a new run; clears the wake flag. */
      readonly type: "run_started";
      readonly runId: RunId;
      readonly generation: Generation;
      readonly inputIds: readonly InputId[];
      /** True when the executor asked for it with its input and gets it with the answer. */
      readonly taken?: boolean;
    }
  | { readonly type: "run_acknowledged"; readonly runId: RunId }
  | {
      /** A receipt is minted for the staged contributors; `steered` joins the run, staged. */
      readonly type: "boundary_committed";
      readonly runId: RunId;
      readonly sequence: number;
      /** Mint order within the runtime, from 1. */
      readonly receiptOrdinal: number;
      readonly boundary: "run_start" | "run_checkpoint" | "immediate";
      readonly inputIds: readonly InputId[];
      readonly conversationDigest?: string;
      readonly messageCount: number;
      /** Digest of the blob with the session after this boundary. */
      readonly sessionSnapshot?: string;
      readonly steered: readonly InputId[];
      readonly bodyHash: string;
    }
  | {
      /** Contributors under a receipt are consumed, with this outcome. */
      readonly type: "run_completed";
      readonly runId: RunId;
      readonly outcome: RunOutcome;
      /** The run that the same call started (`take_next`). */
      readonly nextRunId?: RunId;
      readonly bodyHash: string;
    }
  | {
      /** Contributors under a receipt are consumed, staged ones roll back or are abandoned. */
      readonly type: "run_failed";
      readonly runId: RunId;
      readonly error: string;
      readonly recoverable: boolean;
      /** Staged contributors that are queued again, with the time of the next try. */
      readonly rolledBack: readonly InputId[];
      readonly notBefore: TimeMs;
      /** Staged contributors that are abandoned. */
      readonly abandoned: readonly InputId[];
      readonly abandonReason: AbandonReason;
      /** `executor`: FailRun. `lease`: the lease lapsed. `fence`: an operator took the run away. */
      readonly cause: "executor" | "lease" | "fence";
      readonly bodyHash: string;
    }
  | {
      readonly type: "run_cancelled";
      readonly runId: RunId;
      readonly requeue: boolean;
      /** Queued again (attempt returned) when `requeue`, else abandoned `cancelled`. */
      readonly inputIds: readonly InputId[];
      readonly notBefore: TimeMs;
      readonly bodyHash: string;
    }
  | {
      /** The executor handed the run back (attempt returned), or never acknowledged it. */
      readonly type: "run_returned";
      readonly runId: RunId;
      readonly how: "released" | "taken_back";
      readonly inputIds: readonly InputId[];
      readonly notBefore: TimeMs;
      readonly bodyHash: string;
    }
  | { readonly type: "run_interrupted"; readonly runId: RunId; readonly reason?: string }
  | {
      readonly type: "runtime_retired";
      readonly inputsAbandoned: number;
      readonly inputsPendingDrain: number;
      readonly reason?: string;
    }
  | {
      readonly type: "runtime_recycled";
      readonly inputsTransferred: number;
      readonly reason?: string;
    }
  | {
      readonly type: "runtime_reset";
      readonly epochId: EpochId;
      readonly inputsAbandoned: number;
      readonly reason?: string;
    }
  | {
      readonly type: "runtime_recovered";
      readonly epochId: EpochId;
      readonly inputsRecovered: number;
      readonly inputsAbandoned: number;
      readonly inputsRequeued: number;
      readonly details: readonly string[];
      readonly reason?: string;
    }
  | {
      readonly type: "runtime_stopped";
      readonly inputsAbandoned: number;
      readonly reason?: string;
    }
  | {
      readonly type: "runtime_destroyed";
      readonly inputsAbandoned: number;
      readonly reason?: string;
    }
  | {
      /** Every non-terminal input is abandoned; the ids follow from the state. */
      readonly type: "queue_abandoned";
      readonly reason: AbandonReason;
    }
  | {
      /** Queued inputs are abandoned `cancelled`; the ids follow from the state. */
      readonly type: "inputs_cancelled";
      /** Admission ordinals of the cancelled inputs. */
      readonly ordinals: readonly OrdinalRange[];
      /** What the caller was told of all that it named; the fold ignores it. */
      readonly answer: CancelAnswer;
      readonly reason?: string;
    }
  | {
      /** Takes the place of the earlier set. */
      readonly type: "silent_intents_set";
      /** Unique and in order. */
      readonly intents: readonly string[];
    }
  | {
      /** Who reaches the runtime and whether it is kept reachable; no endpoint: no ingress. */
      readonly type: "peer_ingress_updated";
      readonly keepAlive: boolean;
      readonly endpoint?: PeerEndpoint;
    }
  | {
      /** A drain is wanted from now on; it waits for an executor. */
      readonly type: "drain_started";
      /** Counts the drains of the runtime, from 1. */
      readonly sequence: number;
      readonly mode: DrainMode;
    }
  | {
      /** An executor is to run the drain. */
      readonly type: "drain_spawned";
      readonly sequence: number;
      readonly executorId: ExecutorId;
      readonly incarnationId: IncarnationId;
    }
  | {
      /** The drain ended by itself, or with its executor. */
      readonly type: "drain_exited";
      readonly sequence: number;
      readonly reason: DrainExitReason;
      /** True when it is tried again as the same mode, by whichever executor is there. */
      readonly isRespawnable: boolean;
      /** Failures in a row. */
      readonly failures: number;
      /** No executor gets the next drain before this time. */
      readonly notBefore: TimeMs;
    }
  | {
      /** The executor is to end the drain, because it is not wanted or an operator said so. */
      readonly type: "drain_aborted";
      readonly sequence: number;
      readonly reason?: string;
    }
  | {
      /** An envelope of a client; the fold ignores it. */
      readonly type: "event_published";
      readonly eventId: string;
      readonly eventCode: string;
      readonly payload: Json;
      readonly causationId?: string;
      readonly correlationId?: string;
    };

/** The discriminators of all runtime events. */
export type RuntimeEventType = RuntimeEvent["type"];
