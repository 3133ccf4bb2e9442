/** The decision on every command to the grants of a session; transfers stand in their own file. */
import type { DecideContext, Decision } from "../shared/aggregate.ts";
import type { Refusal } from "../shared/refusal.ts";
import type { GrantsCommand, GrantsReply } from "./commands.ts";
import { decideAccept, decideBegin, decideMove, decideSettle } from "./decide-transfers.ts";
import type { GrantsEvent } from "./events.ts";
import { grantKeyOf } from "./grant-keys.ts";
import { hasOpenWork } from "./open-work.ts";
import { handleInTransfer, nameTaken, sessionDeleted, tooManyGrants } from "./refusals.ts";
import { nameHolder } from "./sole-names.ts";
import type { GrantsState, HandleDescriptor } from "./state.ts";
import { verdictOf } from "./table.ts";

type GrantsDecision = Decision<GrantsEvent, GrantsReply>;
type CommandOf<Type extends GrantsCommand["type"]> = Extract<
  GrantsCommand,
  { readonly type: Type }
>;

/** Most grants that one session may be given; those that are moved to it are not counted. */
export const GRANTS_MAX = 100_000;

const BACKOFF = { initialMs: 1000, maxMs: 60_000, doublingsMax: 6 } as const;

function refused(refusal: Refusal): GrantsDecision {
  return { kind: "refuse", refusal };
}

function answered(reply: GrantsReply): GrantsDecision {
  return { kind: "answer", reply };
}

function isSame(left: HandleDescriptor, right: HandleDescriptor): boolean {
  return left.kind === right.kind && left.label === right.label;
}

function decideGrant(
  state: GrantsState,
  command: CommandOf<"grant_handle">,
  context: DecideContext,
): GrantsDecision {
  const { frameId, processId, descriptor, soleName } = command;
  const key = grantKeyOf(frameId, processId);
  const former = state.grants.get(key);
  const grantedAt = former?.grantedAt ?? context.now;
  if (former !== undefined && isSame(former.descriptor, descriptor)) {
    const handle = { frameId, processId, descriptor, grantedAt };
    return answered({ type: "granted", handle, created: false });
  }
  if (state.leaving.has(key)) return refused(handleInTransfer(processId));
  const holder = soleName && nameHolder(state, frameId, soleName, [processId]);
  if (holder !== undefined) return refused(nameTaken(holder));
  const created = former === undefined;
  if (created && state.grants.size >= GRANTS_MAX) return refused(tooManyGrants(GRANTS_MAX));
  const event: GrantsEvent = {
    type: "handle_granted",
    frameId,
    processId,
    descriptor,
    grantedAt,
    created,
  };
  return { kind: "commit", events: [event] };
}

function decideRevoke(state: GrantsState, command: CommandOf<"revoke_handle">): GrantsDecision {
  const { frameId, processId } = command;
  const key = grantKeyOf(frameId, processId);
  if (state.leaving.has(key)) return refused(handleInTransfer(processId));
  if (!state.grants.has(key)) return answered({ type: "revoked", revoked: false });
  return { kind: "commit", events: [{ type: "handle_revoked", frameId, processId }] };
}

function decideDelete(command: CommandOf<"delete_session">): GrantsDecision {
  const { cancelOrphans, reason } = command;
  return { kind: "commit", events: [{ type: "session_deleted", cancelOrphans, reason }] };
}

/** Takes over only what still stands as it was when the process was asked. */
function decideConfirm(state: GrantsState, command: CommandOf<"confirm_holds">): GrantsDecision {
  const acquired = command.acquired.filter(({ processId, mark }) => {
    const hold = state.holds.get(processId);
    return hold?.mark === mark && hold.standing === "acquiring";
  });
  const released = command.released.filter(({ processId, mark }) => {
    const hold = state.holds.get(processId);
    return hold?.mark === mark && hold.standing === "releasing";
  });
  const missing = new Set(command.gone);
  const granted = missing.size === 0 ? [] : [...state.grants.values()];
  const gone = new Set(
    granted.flatMap(({ processId }) => (missing.has(processId) ? processId : [])),
  );
  const events: GrantsEvent[] = [];
  if (acquired.length > 0) events.push({ type: "holds_acquired", holds: acquired });
  if (released.length > 0) events.push({ type: "holds_released", holds: released });
  if (gone.size > 0) events.push({ type: "processes_gone", processIds: [...gone] });
  if (events.length === 0) return answered({ type: "done", changed: false });
  return { kind: "commit", events };
}

function decideDefer(
  state: GrantsState,
  command: CommandOf<"defer_work">,
  context: DecideContext,
): GrantsDecision {
  const attempts = state.deferral?.attempts ?? 0;
  if (!hasOpenWork(state) || attempts !== command.attempts) {
    return answered({ type: "done", changed: false });
  }
  const fullMs = BACKOFF.initialMs * 2 ** Math.min(attempts, BACKOFF.doublingsMax);
  const delayMs = Math.min(fullMs, BACKOFF.maxMs) * (0.5 + context.random() / 2);
  const notBefore = context.now + Math.round(delayMs);
  return {
    kind: "commit",
    events: [{ type: "work_deferred", attempts: attempts + 1, notBefore }],
  };
}

/** The decision on a command that the phase allows. */
function decideAllowed(
  state: GrantsState,
  command: GrantsCommand,
  context: DecideContext,
): GrantsDecision {
  switch (command.type) {
    case "grant_handle":
      return decideGrant(state, command, context);
    case "revoke_handle":
      return decideRevoke(state, command);
    case "move_handles":
      return decideMove(state, command);
    case "begin_transfer":
      return decideBegin(state, command);
    case "accept_transfer":
      return decideAccept(state, command);
    case "settle_transfer":
      return decideSettle(state, command);
    case "delete_session":
      return decideDelete(command);
    case "confirm_holds":
      return decideConfirm(state, command);
    case "defer_work":
      return decideDefer(state, command, context);
  }
}

/** Decides a command: events, an answer or a refusal; a refusal changes nothing (G7). */
export function decide(
  state: GrantsState,
  command: GrantsCommand,
  context: DecideContext,
): GrantsDecision {
  const verdict = verdictOf(state.phase, command.type);
  if (verdict === "allow") return decideAllowed(state, command, context);
  if (verdict === "no_op") return answered({ type: "deleted", isFirst: false });
  return refused(sessionDeleted());
}
