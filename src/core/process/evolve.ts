/**
 * The fold: one event onto the state. Reads every event ever written; an event that cannot follow
 * the state throws FoldError, because a contradiction in the history is never folded over.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import { emptyOrderedMap } from "../shared/ordered-map.ts";
import { assertStep } from "../shared/step.ts";
import type { ProcessStreamEvent, ProcessStreamEventType } from "./events.ts";
import { foldAppended, foldWakeDeferred, foldWakeSettled } from "./evolve-events.ts";
import { PROCESS_LEASE_STEPS } from "./lease-table.ts";
import { withoutOrdinal } from "./ordinal-ranges.ts";
import type { ProcessRegistration, RegisteredProcess } from "./registration.ts";
import type { ProcessState } from "./state.ts";
import { situationOf } from "./table.ts";
import { initialFacet } from "./task.ts";

type EventOf<Type extends ProcessStreamEventType> = Extract<
  ProcessStreamEvent,
  { readonly type: Type }
>;
type LeaseEvent = EventOf<Exclude<keyof typeof PROCESS_LEASE_STEPS, "terminal_event">>;
type HolderEvent = EventOf<"holder_added" | "holder_removed">;
type TaskEvent = EventOf<
  "task_reported" | "task_transferred" | "task_abort_scheduled" | "task_notice_settled"
>;

/** What the state keeps of a registration; the input stays in the journal. */
function withoutInput(registration: ProcessRegistration): RegisteredProcess {
  const kept: RegisteredProcess & { input?: ProcessRegistration["input"] } = { ...registration };
  delete kept.input;
  return kept;
}

function foldRegistered(
  state: ProcessState,
  event: EventOf<"process_registered">,
  position: EventPosition,
): ProcessState {
  if (state.registration !== null) throw new FoldError("a process is registered once");
  const registration = withoutInput(event.registration);
  const { task, wakeRuntimeId } = registration;
  return {
    ...state,
    processId: event.processId,
    registration,
    registrationHash: event.registrationHash,
    registrationBytes: JSON.stringify(registration).length,
    registeredRevision: position.revision,
    createdAt: position.at,
    updatedAt: position.at,
    wakeRuntimeId: wakeRuntimeId ?? null,
    task: task === undefined ? null : initialFacet(task),
  };
}

function foldLease(state: ProcessState, event: LeaseEvent, position: EventPosition): ProcessState {
  const step = PROCESS_LEASE_STEPS[event.type];
  assertStep<string>(step, situationOf(state), event.type);
  switch (event.type) {
    case "process_lease_claimed": {
      const { generation, leaseToken, owner, ttlMs } = event;
      const lease = { generation, leaseToken, owner, ttlMs, claimedAt: position.at };
      const firstStart = state.firstStart ?? { owner, startedAt: position.at };
      return { ...state, generation, lease, firstStart };
    }
    case "process_lease_extended": {
      const { generation, leaseToken, owner, ttlMs, claimedAt } = event;
      return { ...state, lease: { generation, leaseToken, owner, ttlMs, claimedAt } };
    }
    case "process_lease_released":
    case "process_lease_lapsed":
      return { ...state, lease: null };
  }
}

function foldHolder(state: ProcessState, event: HolderEvent): ProcessState {
  const { sessionId, mark } = event;
  const held = event.type === "holder_added";
  const wasHeld = state.holders.get(sessionId)?.held === true;
  return {
    ...state,
    holders: state.holders.with(sessionId, { mark, held }),
    holderCount: state.holderCount + (held ? 1 : 0) - (wasHeld ? 1 : 0),
  };
}

function foldTask(state: ProcessState, event: TaskEvent, { at }: EventPosition): ProcessState {
  const { task } = state;
  if (task === null) throw new FoldError(`${event.type} of a process that is no task`);
  switch (event.type) {
    case "task_reported":
      return { ...state, updatedAt: at, task: { ...task, liveState: event.report } };
    case "task_transferred":
      return { ...state, updatedAt: at, task: { ...task, sessionId: event.sessionId } };
    case "task_abort_scheduled":
      return { ...state, updatedAt: at, task: { ...task, abortAt: event.abortAt } };
    case "task_notice_settled":
      return { ...state, task: { ...task, notice: null } };
  }
}

/** A tombstone: what tells a pruned process from an unknown one, and who held it. */
function foldPruned(state: ProcessState, position: EventPosition): ProcessState {
  if (state.end === null || state.registration === null) {
    throw new FoldError("only a process that ended is pruned");
  }
  return {
    ...state,
    registration: { ...state.registration, eventTypes: [] },
    prunedAt: position.at,
    externalRef: null,
    typeCounts: emptyOrderedMap(),
    events: emptyOrderedMap(),
    replayKeys: emptyOrderedMap(),
    unacknowledgedWakes: [],
  };
}

/** Changes of the record that a client made; they count for the time of the last change. */
function foldRecord(
  state: ProcessState,
  event: EventOf<
    "external_ref_set" | "process_wait_set" | "process_wait_cleared" | "abandon_requested"
  >,
  { at }: EventPosition,
): ProcessState {
  const changed = { ...state, updatedAt: at };
  switch (event.type) {
    case "external_ref_set":
      return { ...changed, externalRef: event.externalRef };
    case "process_wait_set":
      return { ...changed, wait: { ...event.wait, since: at } };
    case "process_wait_cleared":
      return { ...changed, wait: null };
    case "abandon_requested": {
      const { requestedBy, reason } = event;
      const request = { requestedBy, requestedAt: at };
      return {
        ...changed,
        abandonRequest: reason === undefined ? request : { ...request, reason },
      };
    }
  }
}

/** The state after one event. Throws FoldError when the event cannot follow the state. */
export function evolve(
  state: ProcessState,
  event: ProcessStreamEvent,
  position: EventPosition,
): ProcessState {
  switch (event.type) {
    case "process_registered":
      return foldRegistered(state, event, position);
    case "process_event_appended":
      return foldAppended(state, event, position);
    case "external_ref_set":
    case "process_wait_set":
    case "process_wait_cleared":
    case "abandon_requested":
      return foldRecord(state, event, position);
    case "process_lease_claimed":
    case "process_lease_extended":
    case "process_lease_released":
    case "process_lease_lapsed":
      return foldLease(state, event, position);
    case "holder_added":
    case "holder_removed":
      return foldHolder(state, event);
    case "wake_acknowledged": {
      const { unacknowledgedWakes } = state;
      const left = withoutOrdinal(unacknowledgedWakes, event.wakeOrdinal);
      return { ...state, unacknowledgedWakes: left };
    }
    case "wake_settled":
      return foldWakeSettled(state, event);
    case "wake_deferred":
      return foldWakeDeferred(state, event);
    case "task_reported":
    case "task_transferred":
    case "task_abort_scheduled":
    case "task_notice_settled":
      return foldTask(state, event, position);
    case "process_pruned":
      return foldPruned(state, position);
    case "process_affirmed":
      return { ...state, updatedAt: position.at };
  }
}
