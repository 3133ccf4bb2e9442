/**
 * The folded state of a runtime stream: headers only, payloads stay in the journal.
 *
 * Owns: registration and phase, the lease and its generation, the one run in flight, the lanes, the
 * life of each input that is live or not yet forgotten, receipts not yet forgotten.
 * Invariants, cited by tests:
 *   R1  an input is in at most one place: a lane, the run, or terminal
 *   R2  #consumed + #abandoned + #superseded + #coalesced + #live = #accepted
 *   R3  at most one run is in flight
 *   R4  an input is consumed at most once
 *   R5  an input is consumed only under a receipt, on accept, or under a final boundary
 *   R6  attempts never exceed the limit of the runtime
 *   R7  a refused command changes nothing
 *   R8  the same key leads to the same existing input for ever
 *   R9  within a lane, admission order is kept, also after a rollback
 *   R10 the generation never falls; an executor write with another generation changes nothing
 */
import type { OrderedMap } from "../shared/ordered-map.ts";
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
import type { Drain, PeerEndpoint } from "./drain-state.ts";
import type { Durability, InputKind } from "./input.ts";
import type { OperationRegistry } from "./operation-state.ts";

/** Observable state; `idle`, `attached` and `running` are derived from lease and run. */
export type RuntimeStateName =
  | "idle"
  | "attached"
  | "running"
  | "retired"
  | "stopped"
  | "destroyed";

/** Stored phase: `open` shows as idle, attached or running. */
export type RuntimePhase = "open" | "retired" | "stopped" | "destroyed";

/** `none`: never ensured. `unregistered`: history kept, refused until ensured again. */
export type Registration = "none" | "registered" | "unregistered";

/** Configuration of a runtime, complete; EnsureRuntime patches it. */
export interface RuntimeConfig {
  readonly labels: Readonly<Record<string, string>>;
  /** Pool whose executors may serve the runtime. */
  readonly pool: string;
  /** Most inputs that may be queued at once, 1 to 100,000. */
  readonly queueLimit: number;
  /** How often an input may be attempted before it is abandoned, 1 to 100. */
  readonly attemptLimit: number;
  readonly retryBackoffInitialMs: number;
  readonly retryBackoffMaxMs: number;
  /** How long an executor's lease lives without renewal. */
  readonly leaseTtlMs: number;
  readonly keepAlive: boolean;
  /** Most operations that may be active at once, 1 to 100,000. */
  readonly operationLimit: number;
  /** How many ended operations stay in the registry, 0 to 10,000. */
  readonly completedRetention: number;
}

/** Life of one input; `accepted` and `applied` are passed through within one commit. */
export type InputStateName =
  | "accepted"
  | "queued"
  | "staged"
  | "applied"
  | "applied_pending_consumption"
  | "consumed"
  | "superseded"
  | "coalesced"
  | "abandoned";

/** The four ends of an input. */
export type TerminalInputState = "consumed" | "superseded" | "coalesced" | "abandoned";

/** Why an input was given up. */
export type AbandonReason =
  | "retired"
  | "reset"
  | "stopped"
  | "destroyed"
  | "cancelled"
  | "run_failed"
  | "max_attempts_exhausted";

/** Which queue an input waits in. */
export type Lane = "queue" | "steer";

/** One step in the life of an input. */
export interface InputTransition {
  readonly at: TimeMs;
  readonly from: InputStateName;
  readonly to: InputStateName;
  /** The lifecycle event that caused it, such as `stage_for_run`. */
  readonly cause: string;
  readonly revision: Revision;
}

/** How an input ended; where the result stands is `completedRevision`. */
export type InputOutcome =
  | { readonly type: "consumed"; readonly runId?: RunId }
  | { readonly type: "superseded"; readonly supersededBy: InputId }
  | { readonly type: "coalesced"; readonly aggregateId: InputId }
  | { readonly type: "abandoned"; readonly reason: AbandonReason; readonly attempts: number };

/** What the folded state remembers of an input. */
export interface InputHeader {
  readonly inputId: InputId;
  /** Admission order within the runtime, from 1. */
  readonly ordinal: number;
  readonly kind: InputKind;
  readonly state: InputStateName;
  /** Absent for an input consumed on accept. */
  readonly lane?: Lane;
  /** Reference of the policy row, resolved by `policyOf`. */
  readonly policy: string;
  readonly durability: Durability;
  readonly idempotencyKey?: string;
  readonly supersessionKey?: string;
  readonly correlationId?: string;
  /** SHA-256 (hex) over the canonical input without id, creation time and key. */
  readonly bodyHash: string;
  /** Bytes of the canonical JSON of the input. */
  readonly payloadBytes: number;
  readonly admittedAt: TimeMs;
  /** Commit whose `input_admitted` event holds the payload. */
  readonly admittedRevision: Revision;
  readonly updatedAt: TimeMs;
  /** How often it was staged and the assignment acknowledged. */
  readonly attempts: number;
  /** Not staged again before this time; 0 when it may be staged at once. */
  readonly notBefore: TimeMs;
  readonly lastRunId?: RunId;
  readonly lastBoundarySequence?: number;
  readonly outcome?: InputOutcome;
  /** Commit that settled the input's waiters (end of the run, supersession, ...). */
  readonly completedRevision?: Revision;
  /** Steps after the admission itself. */
  readonly transitions: readonly InputTransition[];
}

/** An executor's hold on the runtime. */
export interface Lease {
  readonly generation: Generation;
  readonly executorId: ExecutorId;
  readonly incarnationId: IncarnationId;
  readonly ttlMs: number;
  readonly grantedAt: TimeMs;
  /** True when the executor attached naming the runtime: the lease outlives the run. */
  readonly named: boolean;
}

/** One boundary of the run in flight, kept for repeated calls. */
export interface BoundaryMark {
  readonly sequence: number;
  readonly revision: Revision;
  readonly bodyHash: string;
}

/** The run in flight. */
export interface Run {
  readonly runId: RunId;
  readonly generation: Generation;
  readonly startedAt: TimeMs;
  readonly startedRevision: Revision;
  /** The highest attempt number among the contributors, this run included. */
  readonly attempt: number;
  /** True once the executor showed that it holds the run; only then the attempt counts. */
  readonly acknowledged: boolean;
  /** Every input that was ever staged into the run, in order. */
  readonly contributors: readonly InputId[];
  /** Contributors still staged, that is without a receipt. */
  readonly staged: readonly InputId[];
  readonly boundaries: readonly BoundaryMark[];
  /** When its executor was asked to end it; null while nobody asked. */
  readonly interruptedAt: TimeMs | null;
}

/** How a finished run ended, kept for repeated calls. */
export interface EndedRun {
  readonly runId: RunId;
  readonly generation: Generation;
  readonly how:
    | "completed"
    | "failed"
    | "cancelled"
    | "released"
    | "lapsed"
    | "fenced"
    | "taken_back";
  readonly revision: Revision;
  /** Hash of the call that ended it; empty when no call did. */
  readonly bodyHash: string;
  /** Run started in the same commit (`take_next`). */
  readonly nextRunId?: RunId;
  readonly boundaries: readonly BoundaryMark[];
}

/** Durable proof that contributors were applied at a point of a run. */
export interface Receipt {
  /** Mint order within the runtime, from 1. */
  readonly ordinal: number;
  readonly runId: RunId;
  readonly sequence: number;
  readonly boundary: "run_start" | "run_checkpoint" | "immediate";
  readonly contributors: readonly InputId[];
  readonly conversationDigest?: string;
  readonly messageCount: number;
  readonly revision: Revision;
  readonly mintedAt: TimeMs;
}

/** The session of a runtime as a boundary left it. */
export interface SessionSnapshot {
  /** Of the blob that holds it. */
  readonly digest: string;
  readonly runId: RunId;
  /** Receipt sequence of the boundary. */
  readonly sequence: number;
  readonly revision: Revision;
}

/** How many inputs ever reached or are in each state. */
export interface InputCounts {
  readonly accepted: number;
  readonly queued: number;
  readonly staged: number;
  readonly applied: number;
  readonly consumed: number;
  readonly superseded: number;
  readonly coalesced: number;
  readonly abandoned: number;
}

/** Since when the runtime is as it is. */
export interface StandingSince {
  readonly registration: TimeMs;
  readonly phase: TimeMs;
  /** Since when nothing is queued, or was when something came. */
  readonly empty: TimeMs;
  /** Since when no executor has its lease, or had when one got it. */
  readonly unattended: TimeMs;
  /** Since when as much is queued as may be, or was the last time; 0 while it never was. */
  readonly full: TimeMs;
}

/** The folded state. */
export interface RuntimeState {
  readonly runtimeId: RuntimeId;
  readonly registration: Registration;
  readonly phase: RuntimePhase;
  readonly epochId: EpochId;
  readonly config: RuntimeConfig;
  /** Intents of peer requests that do not wake the runtime; unique and in order. */
  readonly silentIntents: readonly string[];
  readonly createdAt: TimeMs;
  readonly updatedAt: TimeMs;
  readonly since: StandingSince;
  /** Highest generation ever granted. */
  readonly generation: Generation;
  readonly lease: Lease | null;
  readonly lastExecutor: {
    readonly executorId: ExecutorId;
    readonly incarnationId: IncarnationId;
  } | null;
  readonly run: Run | null;
  /** Where peers reach the runtime; null while nobody said so. */
  readonly peerEndpoint: PeerEndpoint | null;
  readonly drain: Drain;
  /** The last ended runs, newest first, at most eight. */
  readonly endedRuns: readonly EndedRun[];
  /** Durable flag that the runtime should run. */
  readonly wake: boolean;
  /** When `wake` was last set. */
  readonly wakeAt: TimeMs;
  /** Live inputs and terminal ones not yet forgotten. */
  readonly inputs: OrderedMap<InputId, InputHeader>;
  /** Admission order of what `inputs` holds. */
  readonly admitted: OrderedMap<number, InputId>;
  readonly queueLane: OrderedMap<number, InputId>;
  readonly steerLane: OrderedMap<number, InputId>;
  /** Idempotency keys of what `inputs` holds. */
  readonly keys: OrderedMap<string, InputId>;
  /** Queued inputs with a supersession key, by `kind` and key. */
  readonly superseding: OrderedMap<string, InputId>;
  readonly counts: InputCounts;
  /** Highest ordinal given to an input. */
  readonly ordinal: number;
  readonly receipts: OrderedMap<number, Receipt>;
  readonly receiptCount: number;
  /** The latest one that a boundary carried, of whichever run. */
  readonly sessionSnapshot: SessionSnapshot | null;
  /** Bytes of queued and staged payloads. */
  readonly liveBytes: number;
  readonly operations: OperationRegistry;
}
