/**
 * The folded state of a grants stream: which processes the scopes of one session may address.
 *
 * Owns: the grants of all scopes of the session, the session's hold on each of these processes,
 * transfers to other sessions that are under way, which transfers from other sessions were taken
 * in, the deletion of the session. Must not know processes: whether one has ended or is an orphan
 * is decided by its own stream.
 * Invariants, cited by tests:
 *   G1  the hold of a process counts its grants here, those that are leaving included
 *   G2  a hold that counts nothing is being released; the marks of holds rise
 *   G3  a pending grant is not shown; it is shown once the process knows of the hold
 *   G4  a grant that is leaving can be neither revoked nor moved; it leaves, or it comes back
 *   G5  a transfer from another session is taken in at most once, and never once it was declined
 *   G6  a deleted session has no grants but those that are leaving, and takes none
 *   G7  a refused command changes nothing
 *   G8  a name that is given once is never given to two processes in one scope
 */
import type { OrderedMap } from "../shared/ordered-map.ts";
import type { ProcessId, SessionId, TimeMs } from "../shared/ids.ts";

/** `deleted` is for good. */
export type GrantsPhase = "open" | "deleted";

/** A frame of an agent within the session; the session itself when empty. */
export type FrameId = string;

/** Frame and process as one key, in order of frame and then of process. */
export type GrantKey = string;

/** What a scope calls a process. */
export interface HandleDescriptor {
  readonly kind?: string;
  readonly label?: string;
}

/** A scope's right to address a process. */
export interface Grant {
  readonly frameId: FrameId;
  readonly processId: ProcessId;
  readonly descriptor: HandleDescriptor;
  /** When the scope was first granted it. */
  readonly grantedAt: TimeMs;
  /** True until the process knows that the session holds it. */
  readonly pending: boolean;
}

/** `acquiring`: the process is to be told. `releasing`: it is to be told that it is over. */
export type HoldStanding = "acquiring" | "held" | "releasing";

/** The session's hold on a process, which keeps the process from being an orphan. */
export interface Hold {
  /** Newer marks win at the process, so that late and repeated messages do nothing. */
  readonly mark: number;
  readonly standing: HoldStanding;
  /** Grants of the process in all scopes, those that are leaving included. */
  readonly handleCount: number;
  /** Pending grants of the process. */
  readonly pending: readonly GrantKey[];
  /** True when the deletion of the session took a grant of the process. */
  readonly ofDeletion: boolean;
}

/** A grant as a transfer carries it. */
export interface MovedHandle {
  readonly processId: ProcessId;
  readonly descriptor: HandleDescriptor;
}

/** A grant that is leaving, as it was. */
export interface LeavingHandle extends MovedHandle {
  readonly grantedAt: TimeMs;
}

/** Grants on their way to another session. */
export interface Transfer {
  /** Number of the transfer among those of this session, from 1. */
  readonly serial: number;
  readonly fromFrameId: FrameId;
  readonly toSessionId: SessionId;
  readonly toFrameId: FrameId;
  readonly handles: readonly LeavingHandle[];
  readonly begunAt: TimeMs;
  /** Beginnings of names that the target must have free; absent when it need not. */
  readonly solePrefixes?: readonly string[];
}

/** Which transfers of one other session were taken in. */
export interface AcceptedSerials {
  /** Every transfer below this serial that came here was taken in, unless it was declined. */
  readonly floor: number;
  /** Those at or above the floor. */
  readonly serials: readonly number[];
  /** Those that were declined, for good; rare, for a name has to be taken while they come. */
  readonly declined: readonly number[];
}

/** What the deletion of the session did so far; complete once no work is open. */
export interface Deletion {
  readonly cancelOrphans: boolean;
  readonly reason: string;
  readonly revokedCount: number;
  /** Live processes that nobody holds any more. */
  readonly orphaned: readonly ProcessId[];
  /** Those of them whose cancellation was asked for. */
  readonly cancelled: readonly ProcessId[];
  /** Live processes that others hold. */
  readonly preserved: readonly ProcessId[];
}

/** Open work that could not be done lately. */
export interface Deferral {
  readonly attempts: number;
  /** Not tried again before this time. */
  readonly notBefore: TimeMs;
}

/** The folded state. */
export interface GrantsState {
  readonly phase: GrantsPhase;
  readonly updatedAt: TimeMs;
  readonly grants: OrderedMap<GrantKey, Grant>;
  readonly holds: OrderedMap<ProcessId, Hold>;
  /** Processes whose hold is not `held`. */
  readonly openHolds: OrderedMap<ProcessId, number>;
  /** Highest mark given to a hold. */
  readonly lastMark: number;
  /** Transfers to other sessions that are under way, by serial. */
  readonly transfers: OrderedMap<number, Transfer>;
  /** The transfer of each grant that is leaving. */
  readonly leaving: OrderedMap<GrantKey, number>;
  readonly lastSerial: number;
  readonly sources: OrderedMap<SessionId, AcceptedSerials>;
  readonly deletion: Deletion | null;
  readonly deferral: Deferral | null;
}
