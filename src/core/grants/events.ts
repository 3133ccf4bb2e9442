/**
 * Events of a grants stream: past tense, noun first. They are the storage format: once landed they
 * are only extended.
 */
import type { ProcessId, SessionId, TimeMs } from "../shared/ids.ts";
import type { HoldMark, ReleasedHold } from "./commands.ts";
import type { FrameId, HandleDescriptor, MovedHandle } from "./state.ts";

/** Everything that can happen to the grants of a session. */
export type GrantsEvent =
  | {
      /** Granted, or granted again with another descriptor. */
      readonly type: "handle_granted";
      readonly frameId: FrameId;
      readonly processId: ProcessId;
      readonly descriptor: HandleDescriptor;
      /** When the scope was first granted it. */
      readonly grantedAt: TimeMs;
      /** False when only the descriptor changed. */
      readonly created: boolean;
    }
  | {
      readonly type: "handle_revoked";
      readonly frameId: FrameId;
      readonly processId: ProcessId;
    }
  | {
      /** To another scope of the session; what that one had is replaced. */
      readonly type: "handles_moved";
      readonly fromFrameId: FrameId;
      readonly toFrameId: FrameId;
      readonly handles: readonly MovedHandle[];
    }
  | {
      /** The grants are on their way to another session. */
      readonly type: "transfer_begun";
      readonly serial: number;
      readonly fromFrameId: FrameId;
      readonly toSessionId: SessionId;
      readonly toFrameId: FrameId;
      readonly handles: readonly MovedHandle[];
      /** Beginnings of names that the target must have free. */
      readonly solePrefixes?: readonly string[];
    }
  | {
      /** Grants of another session are here; what the scope had is replaced. */
      readonly type: "transfer_accepted";
      readonly fromSessionId: SessionId;
      readonly serial: number;
      readonly settledBelow: number;
      readonly toFrameId: FrameId;
      readonly handles: readonly MovedHandle[];
      readonly grantedAt: TimeMs;
    }
  | {
      /** Grants of another session are never taken in: a name that they need is taken. */
      readonly type: "transfer_declined";
      readonly fromSessionId: SessionId;
      readonly serial: number;
    }
  | {
      /** The target has the grants; here they are gone. */
      readonly type: "transfer_finished";
      readonly serial: number;
    }
  | {
      /** The target has no place; the grants are as before, or gone when this session is, too. */
      readonly type: "transfer_rolled_back";
      readonly serial: number;
    }
  | { readonly type: "holds_acquired"; readonly holds: readonly HoldMark[] }
  | { readonly type: "holds_released"; readonly holds: readonly ReleasedHold[] }
  | {
      /** The processes are not there any more, and so their grants are gone. */
      readonly type: "processes_gone";
      readonly processIds: readonly ProcessId[];
    }
  | {
      readonly type: "session_deleted";
      readonly cancelOrphans: boolean;
      readonly reason: string;
    }
  | {
      readonly type: "work_deferred";
      readonly attempts: number;
      readonly notBefore: TimeMs;
    };

/** The discriminators of all events of a grants stream. */
export type GrantsEventType = GrantsEvent["type"];
