/**
 * The folded state of a process stream: headers only; the input, payloads and the output of the
 * process stay in the journal.
 *
 * Owns: registration, status, the lease and its generation, the holder set of handle grants, the
 * headers of logged events not yet forgotten, wakes not yet acknowledged, the outbox of wakes not
 * yet delivered, the task facet.
 * Invariants, cited by tests:
 *   P1  event sequences are 1, 2, 3, ... without a gap
 *   P2  at most one event is terminal; a terminal status never changes
 *   P3  the generation never falls; a write under another lease changes nothing
 *   P4  the same replay key leads to the same event for ever
 *   P5  a wake is in the outbox from the commit of its event until it is settled, once
 *   P6  a terminal process has neither lease nor wait
 *   P7  elapsed time alone never ends a process; only a task that somebody wanted cancelled
 *       ends when its grace is over
 *   P8  a refused command changes nothing
 *   P9  of two marks of a session the newer one counts, in whatever order they come
 */
import type { Json } from "../shared/json.ts";
import type {
  Generation,
  LeaseToken,
  ProcessId,
  Revision,
  RuntimeId,
  SessionId,
  TimeMs,
} from "../shared/ids.ts";
import type { OrderedMap } from "../shared/ordered-map.ts";
import type { Landmarks } from "./landmarks.ts";
import type { OrdinalRange } from "./ordinal-ranges.ts";
import type { RegisteredProcess } from "./registration.ts";
import type { TaskFacet } from "./task.ts";
import type {
  DeferralCause,
  EventPlace,
  LeaseOwner,
  TerminalStatus,
  WakeSettlement,
} from "./terms.ts";

/** Where an executor outside knows the process; written once. */
export interface ExternalRef {
  readonly backend: string;
  readonly externalId: string;
  readonly metadata?: Json;
}

/** What a running process waits for: the nth event of a type. */
export interface ProcessWait {
  readonly signalName: string;
  readonly eventType: string;
  /** Name of the wait for whoever resolves it. */
  readonly key?: string;
  /** Which event of the type, from 1. */
  readonly ordinal: number;
}

/** A hold on the process. */
export interface Lease {
  readonly generation: Generation;
  readonly leaseToken: LeaseToken;
  readonly owner: LeaseOwner;
  readonly ttlMs: number;
  readonly claimedAt: TimeMs;
}

/** The first wish to cancel. */
export interface CancelRequest {
  readonly reason: string;
  readonly requestedAt: TimeMs;
  /** Event sequence of the wish. */
  readonly sequence: number;
}

/** The wish to give the process up; the first one stays. */
export interface AbandonRequest {
  readonly requestedBy: string;
  readonly requestedAt: TimeMs;
  readonly reason?: string;
}

/** How the process ended; the output is in the event at `place`. */
export interface ProcessEnd {
  readonly status: TerminalStatus;
  readonly place: EventPlace;
  readonly endedAt: TimeMs;
}

/** What the state remembers of the wake of a logged event. */
export interface WakeMark {
  readonly wakeOrdinal: number;
  readonly runtimeId: RuntimeId;
  /** Absent while the wake is in the outbox. */
  readonly settlement?: WakeSettlement;
}

/** What the state remembers of a logged event. */
export interface EventHeader extends EventPlace {
  readonly eventType: string;
  readonly at: TimeMs;
  readonly bodyHash: string;
  readonly replayKey?: string;
  readonly wake?: WakeMark;
  /** Of the events of its type before it; absent in records that an older server wrote. */
  readonly landmarks?: Landmarks;
}

/** How many events of a type were logged, and the last of them. */
export interface EventTypeCount {
  readonly count: number;
  readonly lastSequence: number;
  readonly landmarks: Landmarks;
}

/** A wake on its way to its runtime. */
export interface PendingWake {
  readonly place: EventPlace;
  readonly runtimeId: RuntimeId;
  readonly createdAt: TimeMs;
  /** How often it was deferred. */
  readonly attempts: number;
  /** Not tried before this time; 0 when it may be tried at once. */
  readonly notBefore: TimeMs;
  readonly cause?: DeferralCause;
}

/** What a session's grants stream said last about its hold on the process. */
export interface HolderMark {
  readonly mark: number;
  readonly held: boolean;
}

/** The folded state. */
export interface ProcessState {
  readonly processId: ProcessId;
  /** Null until it is registered. */
  readonly registration: RegisteredProcess | null;
  readonly registrationHash: string;
  /** Characters of the registration as JSON, without its input. */
  readonly registrationBytes: number;
  /** Commit that holds the input. */
  readonly registeredRevision: Revision;
  readonly createdAt: TimeMs;
  /** When the record last changed; leases, holders, acknowledgements, deliveries do not count. */
  readonly updatedAt: TimeMs;
  /** Null while the process is live. */
  readonly end: ProcessEnd | null;
  /** Null while it is retained. */
  readonly prunedAt: TimeMs | null;
  /** Runtime that wakes go to; null when there is none. */
  readonly wakeRuntimeId: RuntimeId | null;
  readonly externalRef: ExternalRef | null;
  readonly wait: (ProcessWait & { readonly since: TimeMs }) | null;
  readonly cancelRequest: CancelRequest | null;
  readonly abandonRequest: AbandonRequest | null;
  /** Highest generation ever granted, which is how often the process was started. */
  readonly generation: Generation;
  readonly lease: Lease | null;
  readonly firstStart: { readonly owner: LeaseOwner; readonly startedAt: TimeMs } | null;
  /** Marks of every session that ever held it; released ones stay as floors. */
  readonly holders: OrderedMap<SessionId, HolderMark>;
  readonly holderCount: number;
  /** Event sequence of the last logged event; 0 before the first. */
  readonly lastSequence: number;
  readonly typeCounts: OrderedMap<string, EventTypeCount>;
  /** Headers of events not yet forgotten, by event sequence. */
  readonly events: OrderedMap<number, EventHeader>;
  /** Replay keys of what `events` holds, with their event sequences. */
  readonly replayKeys: OrderedMap<string, number>;
  /** How many wakes there ever were. */
  readonly wakeCount: number;
  /** Wakes not yet acknowledged, by wake ordinal. */
  readonly unacknowledgedWakes: readonly OrdinalRange[];
  /** Wakes not yet delivered, by event sequence. */
  readonly outbox: OrderedMap<number, PendingWake>;
  readonly task: TaskFacet | null;
}
