/**
 * What the state leaves to be done on other streams, as data: whoever drives it asks here what to
 * do, does it, and brings the answers back as commands. Everything here may be done twice, late, or
 * by several replicas at once.
 */
import type { ProcessId, SessionId, TimeMs } from "../shared/ids.ts";
import { ROLL_FORWARD_AFTER_MS } from "../shared/roll-forward.ts";
import type { HoldMark, TransferVerdict } from "./commands.ts";
import type { Deletion, GrantsState, Transfer } from "./state.ts";

/** A hold that the process is to let go. */
export interface HoldRelease extends HoldMark {
  /** Present when the deletion of the session took the grants. */
  readonly deletion?: Pick<Deletion, "reason" | "cancelOrphans">;
}

/** A transfer that the target is to answer. */
export interface TransferDelivery extends Transfer {
  /** Every transfer of this session below this serial is settled. */
  readonly settledBelow: number;
}

/** Messages to processes. */
export interface HoldWork {
  readonly acquire: readonly HoldMark[];
  readonly release: readonly HoldRelease[];
}

/** Holds that are told to processes in one go. */
const HOLDS_PER_ROUND = 1000;

/** Whether anything is left to be done on other streams. */
export function hasOpenWork(state: GrantsState): boolean {
  return state.openHolds.size > 0 || state.transfers.size > 0;
}

/** When any replica should take up the open work; undefined when there is none. */
export function rollForwardAt(state: GrantsState): TimeMs | undefined {
  if (!hasOpenWork(state)) return undefined;
  return Math.max(state.updatedAt + ROLL_FORWARD_AFTER_MS, state.deferral?.notBefore ?? 0);
}

/** The next messages to processes, at most a thousand. */
export function holdWorkOf(state: GrantsState): HoldWork {
  const acquire: HoldMark[] = [];
  const release: HoldRelease[] = [];
  const { deletion } = state;
  for (const [processId, mark] of state.openHolds.entries()) {
    if (acquire.length + release.length >= HOLDS_PER_ROUND) break;
    const hold = state.holds.get(processId);
    const isOfDeletion = hold?.ofDeletion === true && deletion !== null;
    if (hold?.standing === "acquiring") acquire.push({ processId, mark });
    else release.push({ processId, mark, ...(isOfDeletion ? { deletion } : {}) });
  }
  return { acquire, release };
}

/** Every transfer of this session below the answered serial is settled. */
export function settledBelowOf(state: GrantsState): number {
  return state.transfers.minKey() ?? state.lastSerial + 1;
}

/** Every transfer that waits for its target, oldest first. */
export function transferDeliveriesOf(state: GrantsState): readonly TransferDelivery[] {
  const settledBelow = settledBelowOf(state);
  return [...state.transfers.values()].map((transfer) => ({ ...transfer, settledBelow }));
}

/** Whether the process of any of these has not been told of this session's hold yet. */
export function isAcquiringAny(state: GrantsState, processIds: readonly ProcessId[]): boolean {
  return processIds.some((processId) => state.holds.get(processId)?.standing === "acquiring");
}

/** What a transfer of another session was answered here; undefined when it never came. */
export function formerVerdictOn(
  state: GrantsState,
  source: SessionId,
  serial: number,
): TransferVerdict | undefined {
  const known = state.sources.get(source);
  if (known === undefined) return undefined;
  if (known.declined.includes(serial)) return "name_taken";
  return serial < known.floor || known.serials.includes(serial) ? "accepted" : undefined;
}
