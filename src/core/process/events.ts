/**
 * Events of a process stream: past tense, noun first. They are the storage format: once landed they
 * are only extended. What the process itself logs is `process_event_appended`; only that has an
 * event sequence.
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
import type { CompletionAuthority } from "./commands.ts";
import type { ProcessCause, ProcessRegistration } from "./registration.ts";
import type { ExternalRef, ProcessWait } from "./state.ts";
import type { TaskControlName, TaskReport } from "./task.ts";
import type { DeferralCause, LeaseOwner, TerminalStatus, WakeSettlement } from "./terms.ts";

/** A wake as the event that caused it materialised it. */
export interface WakeMaterial {
  /** Order among the wakes of the process, from 1. */
  readonly wakeOrdinal: number;
  readonly runtimeId: RuntimeId;
  readonly dedupeKey: string;
  /** Text of the input that the runtime gets. */
  readonly input: string;
}

/** An event that the process logged. */
export interface EventAppended {
  readonly type: "process_event_appended";
  /** Event sequence, from 1, without gaps. */
  readonly sequence: number;
  readonly eventType: string;
  readonly payload: Json;
  /** SHA-256 (hex) over type and payload; empty when the server itself wrote the event. */
  readonly bodyHash: string;
  readonly replayKey?: string;
  readonly causedBy?: ProcessCause;
  /** Generation of the lease under which it was written; absent when it was not fenced. */
  readonly generation?: Generation;
  /** Present when the event ended the process: lease and wait are over with it. */
  readonly terminal?: TerminalStatus;
  /** By what the process was ended without a lease. */
  readonly authority?: CompletionAuthority;
  /** The grace of a task that was to be cancelled was over. */
  readonly aborted?: true;
  readonly wake?: WakeMaterial;
}

/** Everything that can happen to a process. */
export type ProcessStreamEvent =
  | {
      readonly type: "process_registered";
      readonly processId: ProcessId;
      readonly registration: ProcessRegistration;
      /** SHA-256 (hex) over the canonical registration, core event types included. */
      readonly registrationHash: string;
    }
  | EventAppended
  | { readonly type: "external_ref_set"; readonly externalRef: ExternalRef }
  | { readonly type: "process_wait_set"; readonly wait: ProcessWait }
  | { readonly type: "process_wait_cleared" }
  | {
      readonly type: "abandon_requested";
      readonly requestedBy: string;
      readonly reason?: string;
    }
  | {
      /** A new hold: the owner starts to work on the process. */
      readonly type: "process_lease_claimed";
      readonly generation: Generation;
      readonly leaseToken: LeaseToken;
      readonly owner: LeaseOwner;
      readonly ttlMs: number;
    }
  | {
      /** The same owner claimed again, for another time to live. */
      readonly type: "process_lease_extended";
      readonly generation: Generation;
      readonly leaseToken: LeaseToken;
      readonly owner: LeaseOwner;
      readonly ttlMs: number;
      readonly claimedAt: TimeMs;
    }
  | { readonly type: "process_lease_released"; readonly generation: Generation }
  | { readonly type: "process_lease_lapsed"; readonly generation: Generation }
  | { readonly type: "holder_added"; readonly sessionId: SessionId; readonly mark: number }
  | { readonly type: "holder_removed"; readonly sessionId: SessionId; readonly mark: number }
  | {
      readonly type: "wake_acknowledged";
      /** Event sequence of the wake. */
      readonly sequence: number;
      readonly wakeOrdinal: number;
    }
  | {
      /** The wake leaves the outbox. */
      readonly type: "wake_settled";
      readonly sequence: number;
      readonly settlement: WakeSettlement;
    }
  | {
      readonly type: "wake_deferred";
      readonly sequence: number;
      readonly attempts: number;
      readonly notBefore: TimeMs;
      readonly cause: DeferralCause;
    }
  | { readonly type: "task_reported"; readonly report: TaskReport }
  | { readonly type: "task_abort_scheduled"; readonly abortAt: TimeMs }
  | { readonly type: "task_notice_settled"; readonly control: TaskControlName }
  | { readonly type: "task_transferred"; readonly sessionId: SessionId }
  | { readonly type: "process_pruned"; readonly eventCount: number }
  /** Nothing changed: what landed late has a later time now, by which watches find it. */
  | { readonly type: "process_affirmed" };

/** The discriminators of all events of a process stream. */
export type ProcessStreamEventType = ProcessStreamEvent["type"];
