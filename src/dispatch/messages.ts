/** What an executor is told, in the words of the core; `rpc/` puts it on the wire. */
import type {
  EpochId,
  ExecutorId,
  Generation,
  InputId,
  RunId,
  RuntimeId,
  TimeMs,
} from "../core/shared/ids.ts";
import type { DrainMode, PeerEndpoint } from "../core/runtime/drain-state.ts";
import type { Input } from "../core/runtime/input.ts";
import type { SessionSnapshot } from "../core/runtime/state.ts";
import type { TaskAnnouncement } from "../core/runtime/task-control.ts";

/** A run with everything its executor needs. */
export interface Assignment {
  readonly runtimeId: RuntimeId;
  readonly runId: RunId;
  readonly generation: Generation;
  readonly attempt: number;
  readonly epochId: EpochId;
  readonly startedAt: TimeMs;
  readonly nextReceiptSequence: number;
  readonly interruptRequested: boolean;
  /** The latest one of the runtime. */
  readonly sessionSnapshot: SessionSnapshot | null;
  /** The staged inputs, in order; all that ever were, when none is staged any more. */
  readonly inputs: readonly Input[];
  /** What the next boundary must name, in order; empty once all are under a receipt. */
  readonly stagedInputIds: readonly InputId[];
}

/** Why a lease is gone. */
export type LeaseLossReason = "lapsed" | "fenced" | "taken_back" | "released";

/** A lease that is gone. */
export interface LeaseLoss {
  readonly type: "lease_lost";
  readonly runtimeId: RuntimeId;
  readonly runId?: RunId;
  readonly generation: Generation;
  readonly currentGeneration: Generation;
  readonly holderExecutorId?: ExecutorId;
  readonly reason: LeaseLossReason;
}

/** Something an executor is told to do, or to know. */
export interface Control {
  readonly type: "control";
  readonly runtimeId: RuntimeId;
  readonly runId?: RunId;
  readonly generation: Generation;
  readonly reason?: string;
  readonly control: "interrupt" | "stop" | "retire" | "destroy" | "unregister";
}

/** What an executor is told about the drain of a runtime. */
export interface DrainControl {
  readonly type: "drain_control";
  readonly runtimeId: RuntimeId;
  readonly generation: Generation;
  readonly reason?: string;
  readonly control:
    | {
        readonly type: "spawn_drain";
        readonly sequence: number;
        readonly mode: DrainMode;
        readonly endpoint: PeerEndpoint;
      }
    | { readonly type: "abort_drain"; readonly sequence: number };
}

/** What an executor is told about a background task of the session whose runtime it holds. */
export interface TaskControl extends TaskAnnouncement {
  readonly type: "task_control";
  readonly runtimeId: RuntimeId;
  readonly generation: Generation;
}

/** Inputs that could join the run in flight. */
export interface SteerNotice {
  readonly type: "steer_available";
  readonly runtimeId: RuntimeId;
  readonly runId: RunId;
  readonly count: number;
}

/** The lease of a runtime was granted, or held on to. */
export interface LeaseGrant {
  readonly type: "lease_granted";
  readonly runtimeId: RuntimeId;
  readonly generation: Generation;
  readonly epochId: EpochId;
}

/** One message to an executor. */
export type ExecutorMessage =
  | LeaseGrant
  | { readonly type: "run_assigned"; readonly assignment: Assignment }
  | Control
  | DrainControl
  | TaskControl
  | SteerNotice
  | LeaseLoss
  | {
      /** The stream ends after this message; leases go on. */
      readonly type: "close_stream";
      readonly reason: "server_draining" | "replaced" | "detached" | "unresponsive" | "fenced";
    };
