/**
 * The record of a process besides its events: registration, external reference, wait, wake target,
 * and the end of its retention.
 */
import { sameJson } from "../shared/json.ts";
import { holdsLease, type ProcessDecision } from "./append.ts";
import type { ProcessCommand } from "./commands.ts";
import type { ProcessStreamEvent } from "./events.ts";
import {
  externalRefConflict,
  leaseLost,
  leaseRequired,
  refused,
  refusedByTable,
  registrationConflict,
} from "./refusals.ts";
import type { ExternalRef, ProcessState, ProcessWait } from "./state.ts";
import { verdictOf } from "./table.ts";

type CommandOf<Type extends ProcessCommand["type"]> = Extract<
  ProcessCommand,
  { readonly type: Type }
>;

const UNCHANGED: ProcessDecision = { kind: "answer", reply: { type: "done", changed: false } };

const committed = (...events: readonly ProcessStreamEvent[]): ProcessDecision => ({
  kind: "commit",
  events,
});

/** Decides a registration; the same one again is answered whatever became of the process. */
export function decideRegister(
  state: ProcessState,
  command: CommandOf<"register_process">,
): ProcessDecision {
  const { processId, registration, registrationHash } = command;
  const barred = refusedByTable(state, "register_process", processId);
  if (barred !== undefined) return refused(barred);
  if (verdictOf(state, "register_process") === "allow") {
    return committed({ type: "process_registered", processId, registration, registrationHash });
  }
  return state.registrationHash === registrationHash
    ? { kind: "answer", reply: { type: "registered", created: false } }
    : refused(registrationConflict(state, registrationHash));
}

function isSameRef(left: ExternalRef, right: ExternalRef): boolean {
  return (
    left.backend === right.backend &&
    left.externalId === right.externalId &&
    sameJson(left.metadata, right.metadata)
  );
}

/** Decides an external reference; it is written once. */
export function decideSetExternalRef(
  state: ProcessState,
  command: CommandOf<"set_external_ref">,
): ProcessDecision {
  const { processId, externalRef } = command;
  const barred = refusedByTable(state, "set_external_ref", processId);
  if (barred !== undefined) return refused(barred);
  if (state.externalRef === null) return committed({ type: "external_ref_set", externalRef });
  return isSameRef(state.externalRef, externalRef)
    ? UNCHANGED
    : refused(externalRefConflict(state));
}

function isSameWait(left: ProcessWait, right: ProcessWait): boolean {
  return (
    left.signalName === right.signalName &&
    left.eventType === right.eventType &&
    left.key === right.key &&
    left.ordinal === right.ordinal
  );
}

/** Decides what the process waits for; while somebody holds it, only its holder may say so. */
export function decideSetWait(
  state: ProcessState,
  command: CommandOf<"set_wait">,
): ProcessDecision {
  const { processId, wait, lease } = command;
  const barred = refusedByTable(state, "set_wait", processId);
  if (barred !== undefined) return refused(barred);
  if (lease !== undefined && !holdsLease(state, lease)) return refused(leaseLost(state, lease));
  const isHolders = verdictOf(state, "set_wait") === "holder_only";
  if (lease === undefined && isHolders) return refused(leaseRequired(state));
  if (wait === null) {
    return state.wait === null ? UNCHANGED : committed({ type: "process_wait_cleared" });
  }
  const isSame = state.wait !== null && isSameWait(state.wait, wait);
  return isSame ? UNCHANGED : committed({ type: "process_wait_set", wait });
}

/** Decides that the process is made known again, as it is. */
export function decideAffirm(state: ProcessState): ProcessDecision {
  return verdictOf(state, "affirm_process") === "allow"
    ? committed({ type: "process_affirmed" })
    : UNCHANGED;
}

/** Decides the end of the retention; a process with undelivered wakes stays. */
export function decidePrune(
  state: ProcessState,
  command: CommandOf<"prune_process">,
): ProcessDecision {
  const { processId, before } = command;
  const barred = refusedByTable(state, "prune_process", processId);
  if (barred !== undefined) return refused(barred);
  const isOver = verdictOf(state, "prune_process") === "allow";
  return isOver && state.updatedAt < before && state.outbox.size === 0
    ? committed({ type: "process_pruned", eventCount: state.lastSequence })
    : { kind: "answer", reply: { type: "pruned", pruned: false, eventCount: 0 } };
}
