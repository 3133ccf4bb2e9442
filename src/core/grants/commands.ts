/**
 * Commands to the grants of a session and what they answer. Sessions, frames and processes are
 * named by clients; serials and marks are given here.
 */
import type { ProcessId, SessionId, TimeMs } from "../shared/ids.ts";
import type { FrameId, HandleDescriptor, MovedHandle } from "./state.ts";

/** The session's hold on a process, by its mark. */
export interface HoldMark {
  readonly processId: ProcessId;
  readonly mark: number;
}

/**
 * What a process was once the session had let it go: `terminal`, or live with others (`preserved`)
 * or nobody (`orphaned`) holding it.
 */
export type ReleasedStanding = "terminal" | "preserved" | "orphaned";

/** A hold that the process let go. */
export interface ReleasedHold extends HoldMark {
  readonly standing: ReleasedStanding;
  /** True when the process was asked to cancel, being an orphan. */
  readonly cancelRequested: boolean;
}

/** Whether the target of a transfer took it in, or why it never will. */
export type TransferVerdict = "accepted" | "deleted" | "name_taken";

/** A name that a scope gives once, by what the names of its processes begin with. */
export interface SoleName {
  readonly prefix: string;
  /** Processes of the name that do not count: what they are by now keeps the name free. */
  readonly except: readonly ProcessId[];
}

/** Everything the grants of a session can be asked to do. */
export type GrantsCommand =
  | {
      readonly type: "grant_handle";
      readonly frameId: FrameId;
      readonly processId: ProcessId;
      readonly descriptor: HandleDescriptor;
      /** Not granted while another process has the name. */
      readonly soleName?: SoleName;
    }
  | {
      readonly type: "revoke_handle";
      readonly frameId: FrameId;
      readonly processId: ProcessId;
    }
  | {
      /** From one scope of the session to another one. */
      readonly type: "move_handles";
      readonly fromFrameId: FrameId;
      readonly toFrameId: FrameId;
      readonly processIds: readonly ProcessId[];
    }
  | {
      /** To another session: the intent. */
      readonly type: "begin_transfer";
      readonly fromFrameId: FrameId;
      readonly toSessionId: SessionId;
      readonly toFrameId: FrameId;
      readonly processIds: readonly ProcessId[];
      /** Beginnings of names that the target must have free; see `SoleName`. */
      readonly solePrefixes?: readonly string[];
    }
  | {
      /** From another session: its intent arrives here. */
      readonly type: "accept_transfer";
      readonly fromSessionId: SessionId;
      readonly serial: number;
      /** Every transfer of the source below this serial is settled. */
      readonly settledBelow: number;
      readonly toFrameId: FrameId;
      readonly handles: readonly MovedHandle[];
      readonly begunAt: TimeMs;
      /** Not taken in while other processes have any of these. */
      readonly soleNames?: readonly SoleName[];
    }
  | {
      /** The target has answered the intent. */
      readonly type: "settle_transfer";
      readonly serial: number;
      readonly verdict: TransferVerdict;
    }
  | {
      readonly type: "delete_session";
      /** Asks processes that nobody holds any more to cancel. */
      readonly cancelOrphans: boolean;
      readonly reason: string;
    }
  | {
      /** What the processes answered. */
      readonly type: "confirm_holds";
      readonly acquired: readonly HoldMark[];
      readonly released: readonly ReleasedHold[];
      /** Processes that are not there any more. */
      readonly gone: readonly ProcessId[];
    }
  | {
      /** Open work could not be done; `attempts` as it was read. */
      readonly type: "defer_work";
      readonly attempts: number;
    };

/** A grant as its grantee is told of it. */
export interface GrantedHandle extends MovedHandle {
  readonly frameId: FrameId;
  readonly grantedAt: TimeMs;
}

/** What commands answer, by kind. */
export type GrantsReply =
  | { readonly type: "granted"; readonly handle: GrantedHandle; readonly created: boolean }
  | { readonly type: "revoked"; readonly revoked: boolean }
  | {
      readonly type: "moved";
      readonly handles: readonly GrantedHandle[];
      /** The transfer under way; absent when all is done. */
      readonly serial?: number;
    }
  | { readonly type: "verdict"; readonly verdict: TransferVerdict }
  | {
      readonly type: "deleted";
      /** True when this call deleted the session, not one before it. */
      readonly isFirst: boolean;
    }
  /** Nothing to tell but whether anything changed. */
  | { readonly type: "done"; readonly changed: boolean };
