/**
 * Commands to a process and what they answer. Hashes, tokens and verdicts on payloads are made at
 * the edge; generations and event sequences here. Writes under a lease carry its token and
 * generation: `decide` fences them.
 */
import type { Json } from "../shared/json.ts";
import type {
  Generation,
  LeaseToken,
  ProcessId,
  RuntimeId,
  SessionId,
  TimeMs,
} from "../shared/ids.ts";
import type { FieldViolation } from "../shared/refusal.ts";
import type { AwaitOutput } from "./await-output.ts";
import type { ProcessCause, ProcessRegistration } from "./registration.ts";
import type { ExternalRef, Lease, ProcessWait } from "./state.ts";
import type { TaskControlName, TaskReport } from "./task.ts";
import type { DeferralCause, EventPlace, LeaseOwner, WakeSettlement } from "./terms.ts";

/** What a holder presents with every fenced write. */
export interface LeaseProof {
  readonly leaseToken: LeaseToken;
  readonly generation: Generation;
}

/** By what a process is ended without a lease. */
export type CompletionAuthority =
  /** The owner outside says so; only for externally owned processes. */
  | { readonly type: "external_owner"; readonly grantedTo: string }
  /** A wish to abandon it is carried out; only with an abandoned output. */
  | { readonly type: "reconciled_abandon" };

/** What the edge found out about a payload by the schema of its declared type. */
export type SchemaVerdict =
  | { readonly type: "valid" }
  | { readonly type: "invalid"; readonly violations: readonly FieldViolation[] }
  /** The edge knew of no such process or type; right only while the core agrees. */
  | { readonly type: "undeclared" };

/** Everything a process can be asked to do. */
export type ProcessCommand =
  | {
      readonly type: "register_process";
      readonly processId: ProcessId;
      /** Complete: the core event types are among its types. */
      readonly registration: ProcessRegistration;
      readonly registrationHash: string;
    }
  | {
      readonly type: "append_event";
      readonly processId: ProcessId;
      readonly eventType: string;
      readonly payload: Json;
      /** SHA-256 (hex) over type and payload. */
      readonly bodyHash: string;
      readonly replayKey?: string;
      readonly causedBy?: ProcessCause;
      /** Instead of the process's own. */
      readonly wakeRuntimeId?: RuntimeId;
      readonly schemaVerdict: SchemaVerdict;
      /** Fences the write; absent for events of the host. */
      readonly lease?: LeaseProof;
    }
  | {
      /** Logs `process.cancel_requested`; the same reason again is the same request. */
      readonly type: "request_cancel";
      readonly processId: ProcessId;
      readonly reason: string | null;
    }
  | {
      readonly type: "complete_process";
      readonly processId: ProcessId;
      readonly output: AwaitOutput;
      /** SHA-256 (hex) over type and payload of `completionEventOf(output, by)`. */
      readonly bodyHash: string;
      readonly by: CompletionProof;
      /** A process that ended already is answered with its end, whatever that is. */
      readonly isSettledByAnyEnd?: true;
    }
  | {
      readonly type: "set_external_ref";
      readonly processId: ProcessId;
      readonly externalRef: ExternalRef;
    }
  | {
      readonly type: "set_wait";
      readonly processId: ProcessId;
      readonly wait: ProcessWait | null;
      /** Needed while somebody holds the process. */
      readonly lease?: LeaseProof;
    }
  | {
      readonly type: "request_abandon";
      readonly processId: ProcessId;
      readonly requestedBy: string;
      readonly reason?: string;
    }
  /** Carries out a wish to abandon a process that no worker will ever be given. */
  | { readonly type: "reconcile_abandon"; readonly processId: ProcessId }
  | {
      readonly type: "claim_lease";
      readonly processId: ProcessId;
      readonly owner: LeaseOwner;
      /** Fresh; becomes the token when a new lease is granted. Its register is open already. */
      readonly leaseToken: LeaseToken;
      readonly ttlMs: number;
      /** True when the owner asked for any work: only a new hold on what waits for a worker. */
      readonly isForAnyWork: boolean;
    }
  | {
      readonly type: "release_lease";
      readonly processId: ProcessId;
      readonly lease: LeaseProof;
    }
  | {
      /** The register of this lease lapsed for good. */
      readonly type: "lapse_lease";
      readonly leaseToken: LeaseToken;
    }
  | {
      /** A session holds a grant; `mark` rises with everything that its grants stream says. */
      readonly type: "hold";
      readonly processId: ProcessId;
      readonly sessionId: SessionId;
      readonly mark: number;
    }
  | {
      readonly type: "release_hold";
      readonly processId: ProcessId;
      readonly sessionId: SessionId;
      readonly mark: number;
      /** Present when the session closed for good. */
      readonly deletion?: SessionDeletion;
    }
  | { readonly type: "ack_wake"; readonly processId: ProcessId; readonly sequence: number }
  | {
      readonly type: "settle_wake";
      readonly sequence: number;
      readonly settlement: WakeSettlement;
    }
  | {
      readonly type: "defer_wake";
      readonly sequence: number;
      /** As the caller read it; nothing happens when somebody deferred it meanwhile. */
      readonly attempts: number;
      readonly cause: DeferralCause;
    }
  | {
      readonly type: "report_task";
      readonly processId: ProcessId;
      readonly report: TaskReport;
    }
  | {
      /** Asks whoever runs a task to end it; after the grace it is aborted, as its policy says. */
      readonly type: "cancel_task";
      readonly processId: ProcessId;
      readonly reason: string | null;
      readonly graceMs: number;
      /** Aborts it in any case: nobody could ever look after it. */
      readonly isForced?: true;
    }
  /** Ends a task whose grace is over; one whose is not, or that ended, is left alone. */
  | { readonly type: "abort_task"; readonly processId: ProcessId }
  | {
      /** Whoever runs the task in its session was told. */
      readonly type: "settle_task_notice";
      readonly processId: ProcessId;
      readonly control: TaskControlName;
    }
  | {
      /** A session handed a task over to another one. */
      readonly type: "transfer_task";
      readonly processId: ProcessId;
      readonly fromSessionId: SessionId;
      readonly sessionId: SessionId;
    }
  /** Makes known again what landed late; see `process_affirmed`. */
  | { readonly type: "affirm_process" }
  | {
      /** Ends the retention of a terminal process whose record did not change since `before`. */
      readonly type: "prune_process";
      readonly processId: ProcessId;
      readonly before: TimeMs;
    };

/** What the deletion of a session means for a live process that it held; asked for once. */
export interface SessionDeletion {
  readonly reason: string;
  /** Whether a process that nobody holds afterwards is asked to cancel. */
  readonly cancelOrphans: boolean;
}

/** By what a process is ended: as its holder, or with authority. */
export type CompletionProof = ({ readonly type: "lease" } & LeaseProof) | CompletionAuthority;

/** How a process stands with those who hold handles to it. */
export interface HolderStanding {
  readonly terminal: boolean;
  /** Sessions that hold it. Nobody and not terminal: an orphan. */
  readonly holderCount: number;
}

/** What commands answer, by kind. */
export type ProcessReply =
  | { readonly type: "registered"; readonly created: boolean }
  /** `replayed`: the event was there already, at this place; nothing was appended. */
  | { readonly type: "appended"; readonly place: EventPlace; readonly replayed: boolean }
  /** Nothing to tell but whether anything changed. */
  | { readonly type: "done"; readonly changed: boolean }
  /** `extended`: the caller held it already; same token, same generation. */
  | { readonly type: "leased"; readonly lease: Lease; readonly extended: boolean }
  | { readonly type: "released"; readonly released: boolean }
  | {
      readonly type: "hold";
      /** Whether the mark was news. */
      readonly changed: boolean;
      readonly cancelRequested: boolean;
    }
  | { readonly type: "pruned"; readonly pruned: boolean; readonly eventCount: number };
