/**
 * What a session does with handles to processes, from the first commit to the answer. A call is
 * done once its own commit stands: what follows on other streams is waited for where the answer
 * rests on it, and is done without the caller, too.
 */
import type {
  GrantedHandle,
  GrantsCommand,
  GrantsReply,
  TransferVerdict,
} from "../core/grants/commands.ts";
import { grantKeyOf } from "../core/grants/grant-keys.ts";
import {
  formerVerdictOn,
  hasOpenWork,
  settledBelowOf,
  type TransferDelivery,
} from "../core/grants/open-work.ts";
import type { Deletion, FrameId, GrantsState } from "../core/grants/state.ts";
import { refusedByTable } from "../core/process/refusals.ts";
import type { Namespace, ProcessId, Revision, SessionId, StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import type { CommandEnvelope } from "../engine/stream-entry.ts";
import { grantsStreamOf, type GrantsStreams, processStreamOf, sessionOf } from "./flow-streams.ts";
import type { Flows } from "./flows.ts";
import { failureOf } from "./work-driver.ts";

/** What the calls work with. */
export interface HandleCallsOptions {
  readonly grants: Pick<GrantsStreams, "fresh" | "submit">;
  readonly processes: Pick<ProcessStreams, "fresh">;
  readonly flows: Pick<Flows, "settleHolds" | "settleTransfers" | "deliverTransfer">;
}

/** A call to the grants of one session. */
export interface HandleCall<Type extends GrantsCommand["type"]> {
  readonly namespace: Namespace;
  readonly sessionId: SessionId;
  readonly envelope: CommandEnvelope<Extract<GrantsCommand, { readonly type: Type }>>;
}

/** The answer to a grant. */
export interface GrantAnswer {
  readonly handle: GrantedHandle;
  readonly created: boolean;
  readonly revision: Revision;
}

/** The answer to a revocation. */
export interface RevokeAnswer {
  readonly revoked: boolean;
  readonly revision: Revision;
}

/** The answer to a transfer. */
export interface TransferAnswer {
  /** The grants as the target got them, in the order of the request. */
  readonly handles: readonly GrantedHandle[];
  readonly revision: Revision;
}

/** The answer to a deletion. */
export interface DeletionAnswer {
  /** What the deletion did; null when the session was deleted before. */
  readonly deletion: Deletion | null;
  readonly revision: Revision;
}

/** The calls. */
export interface HandleCalls {
  /** Refuses PROCESS_NOT_FOUND, NO_LONGER_RETAINED, HANDLE_IN_TRANSFER, SESSION_DELETED. */
  readonly grant: (call: HandleCall<"grant_handle">) => Promise<GrantAnswer>;
  /** Refuses HANDLE_IN_TRANSFER. */
  readonly revoke: (call: HandleCall<"revoke_handle">) => Promise<RevokeAnswer>;
  /** Within the session. Refuses HANDLE_NOT_GRANTED, HANDLE_IN_TRANSFER, SESSION_DELETED. */
  readonly move: (call: HandleCall<"move_handles">) => Promise<TransferAnswer>;
  /**
   * To another session; answered once that one has the grants. Refuses as `move`, and with
   * TASK_ALREADY_EXISTS when it has a name that was to be free.
   */
  readonly transfer: (call: HandleCall<"begin_transfer">) => Promise<TransferAnswer>;
  /** Answered once every process has been told. */
  readonly deleteSession: (call: HandleCall<"delete_session">) => Promise<DeletionAnswer>;
}

type ReplyOf<Type extends GrantsReply["type"]> = Extract<GrantsReply, { readonly type: Type }>;

function expectReply<Type extends GrantsReply["type"]>(
  reply: GrantsReply,
  type: Type,
): ReplyOf<Type> {
  const isExpected = (other: GrantsReply): other is ReplyOf<Type> => other.type === type;
  if (isExpected(reply)) return reply;
  throw new TypeError(`Answered with ${reply.type} instead of ${type}`);
}

function targetDeleted(sessionId: SessionId): RefusedError {
  const message = "The target session was deleted; the grants are where they were";
  return new RefusedError(refusalOf("SESSION_DELETED", message, { sessionId }));
}

function targetHasName(sessionId: SessionId): RefusedError {
  const message = "The target session got a task of the same id meanwhile; nothing was moved";
  return new RefusedError(refusalOf("TASK_ALREADY_EXISTS", message, { sessionId }));
}

/** Makes the calls. */
export function makeHandleCalls(options: HandleCallsOptions): HandleCalls {
  const { grants, processes, flows } = options;

  function isPending(state: GrantsState, frameId: FrameId, processId: ProcessId): boolean {
    return state.grants.get(grantKeyOf(frameId, processId))?.pending === true;
  }

  /** Waits until the process knows; a process that cannot take another hold gets no grant. */
  async function assureHold(
    stream: StreamName,
    frameId: FrameId,
    processId: ProcessId,
  ): Promise<void> {
    const failure = await failureOf(flows.settleHolds(stream));
    const { state } = await grants.fresh(stream);
    if (!isPending(state, frameId, processId)) return;
    if (failure instanceof RefusedError && failure.refusal.reason === "LIMIT_EXCEEDED") {
      const command = { type: "revoke_handle" as const, frameId, processId };
      await grants.submit(stream, { command, name: command.type, bytes: 200, retrySafe: true });
    }
    const message = "The process was not told of the grant yet; send the call again";
    const refusal = { ...refusalOf("CONFLICT", message, { processId }), retryAfterMs: 1000 };
    throw failure ?? new RefusedError(refusal);
  }

  /**
   * Waits until processes know what a session does not hold any more, so that whoever asks next
   * finds them as they are. What cannot be told now is told later; the answer does not rest on it.
   */
  async function tell(stream: StreamName): Promise<void> {
    await failureOf(flows.settleHolds(stream));
  }

  /** The verdict on a transfer that has begun, also long after it was settled. */
  async function verdictOn(
    stream: StreamName,
    serial: number,
    state: GrantsState,
    target: StreamName,
  ): Promise<TransferVerdict> {
    const open = state.transfers.get(serial);
    if (open === undefined) {
      const { state: answered } = await grants.fresh(target);
      return formerVerdictOn(answered, sessionOf(stream), serial) ?? "deleted";
    }
    const delivery: TransferDelivery = { ...open, settledBelow: settledBelowOf(state) };
    return await flows.deliverTransfer(stream, delivery);
  }

  return {
    grant: async ({ namespace, sessionId, envelope }) => {
      const { frameId, processId } = envelope.command;
      const { state } = await processes.fresh(processStreamOf(namespace, processId));
      const refusal = refusedByTable(state, "hold", processId);
      if (refusal !== undefined) throw new RefusedError(refusal);
      const stream = grantsStreamOf(namespace, sessionId);
      const committed = await grants.submit(stream, envelope);
      const { handle, created } = expectReply(committed.reply, "granted");
      if (isPending(committed.state, frameId, processId)) {
        await assureHold(stream, frameId, processId);
      }
      return { handle, created, revision: committed.revision };
    },

    revoke: async ({ namespace, sessionId, envelope }) => {
      const stream = grantsStreamOf(namespace, sessionId);
      const { reply, revision, state } = await grants.submit(stream, envelope);
      const { revoked } = expectReply(reply, "revoked");
      if (state.openHolds.has(envelope.command.processId)) await tell(stream);
      return { revoked, revision };
    },

    move: async ({ namespace, sessionId, envelope }) => {
      const stream = grantsStreamOf(namespace, sessionId);
      const { reply, revision } = await grants.submit(stream, envelope);
      return { handles: expectReply(reply, "moved").handles, revision };
    },

    transfer: async ({ namespace, sessionId, envelope }) => {
      const { toSessionId } = envelope.command;
      const stream = grantsStreamOf(namespace, sessionId);
      const target = grantsStreamOf(namespace, toSessionId);
      const { reply, revision, state } = await grants.submit(stream, envelope);
      const { handles, serial } = expectReply(reply, "moved");
      if (serial === undefined) return { handles, revision };
      const verdict = await verdictOn(stream, serial, state, target);
      if (verdict !== "accepted") {
        await flows.settleTransfers(stream);
        throw (verdict === "deleted" ? targetDeleted : targetHasName)(toSessionId);
      }
      await failureOf(flows.settleTransfers(stream));
      await tell(stream);
      return { handles, revision };
    },

    deleteSession: async ({ namespace, sessionId, envelope }) => {
      const stream = grantsStreamOf(namespace, sessionId);
      const { reply, revision } = await grants.submit(stream, envelope);
      const { isFirst } = expectReply(reply, "deleted");
      const failures = [
        await failureOf(flows.settleTransfers(stream)),
        await failureOf(flows.settleHolds(stream)),
      ];
      const { state } = await grants.fresh(stream);
      if (!hasOpenWork(state)) return { deletion: isFirst ? state.deletion : null, revision };
      const message = "Not every process could be told yet; send the call again";
      const refusal = { ...refusalOf("CONFLICT", message, { sessionId }), retryAfterMs: 1000 };
      throw failures.find((failure) => failure !== undefined) ?? new RefusedError(refusal);
    },
  };
}
