/**
 * The fold: one event onto the state. Reads every event ever written; an event that cannot follow
 * the state throws FoldError, because a contradiction in the history is never folded over.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import type { TimeMs } from "../shared/ids.ts";
import { assertStep } from "../shared/step.ts";
import type { RecordedConfig, RuntimeEvent } from "./events.ts";
import {
  foldAdmission,
  foldInputsCancelled,
  foldQueueAbandoned,
  foldSupersession,
} from "./evolve-inputs.ts";
import { foldDrain, foldPeerIngress } from "./evolve-drain.ts";
import {
  foldAcknowledged,
  foldBoundary,
  foldRunCancelled,
  foldRunCompleted,
  foldRunFailed,
  foldRunInterrupted,
  foldRunReturned,
  foldRunStarted,
} from "./evolve-runs.ts";
import { queuedCount, wokenIfQueued } from "./lanes.ts";
import type { OperationEvent } from "./operation-events.ts";
import { foldOperations, settled, trimmed } from "./operation-fold.ts";
import { LEASE_STEPS, type LeaseStepName, leaseStateOf } from "./lease-table.ts";
import { completeConfig } from "./registration.ts";
import { RUN_STEPS, runStateOf } from "./run-table.ts";
import type { RuntimeState, StandingSince } from "./state.ts";
import { PHASE_STEPS } from "./table.ts";

type EventOf<Type extends RuntimeEvent["type"]> = Extract<RuntimeEvent, { readonly type: Type }>;
type RunEvent = EventOf<keyof typeof RUN_STEPS>;
type LeaseEvent = EventOf<"lease_granted" | "lease_released" | "lease_lapsed" | "lease_fenced">;
type PhaseEvent = EventOf<keyof typeof PHASE_STEPS>;

function withConfig(state: RuntimeState, recorded: RecordedConfig): RuntimeState {
  const config = completeConfig(recorded);
  const operations = trimmed(state.operations, config.completedRetention);
  return { ...state, config, operations };
}

function foldRegistered(
  state: RuntimeState,
  event: EventOf<"runtime_registered">,
  position: EventPosition,
): RuntimeState {
  return {
    ...withConfig(state, event.config),
    runtimeId: event.runtimeId,
    registration: "registered",
    epochId: event.epochId,
    createdAt: event.returning ? state.createdAt : position.at,
  };
}

function leaseStepOf(event: LeaseEvent): LeaseStepName {
  if (event.type !== "lease_granted") return event.type;
  return event.named ? "named_lease_granted" : "pooled_lease_granted";
}

function foldLease(state: RuntimeState, event: LeaseEvent, position: EventPosition): RuntimeState {
  const step = leaseStepOf(event);
  assertStep(LEASE_STEPS[step], leaseStateOf(state.lease), step);
  const generation = Math.max(state.generation, event.generation);
  if (event.type !== "lease_granted") return { ...state, generation, lease: null };
  const { executorId, incarnationId, ttlMs, named } = event;
  const granted: RuntimeState = {
    ...state,
    generation,
    lease: {
      generation: event.generation,
      executorId,
      incarnationId,
      ttlMs,
      grantedAt: position.at,
      named,
    },
    lastExecutor: { executorId, incarnationId },
  };
  return named ? wokenIfQueued(granted, position.at) : granted;
}

function foldRun(state: RuntimeState, event: RunEvent, position: EventPosition): RuntimeState {
  assertStep(RUN_STEPS[event.type], runStateOf(state.run), event.type);
  switch (event.type) {
    case "run_started":
      return foldRunStarted(state, event, position);
    case "run_acknowledged":
      return foldAcknowledged(state, event);
    case "boundary_committed":
      return foldBoundary(state, event, position);
    case "run_interrupted":
      return foldRunInterrupted(state, event, position);
    case "run_completed":
      return foldRunCompleted(state, event, position);
    case "run_failed":
      return foldRunFailed(state, event, position);
    case "run_cancelled":
      return foldRunCancelled(state, event, position);
    case "run_returned":
      return foldRunReturned(state, event, position);
  }
}

function foldPhase(state: RuntimeState, event: PhaseEvent, position: EventPosition): RuntimeState {
  const { to } = PHASE_STEPS[event.type];
  assertStep(PHASE_STEPS[event.type], state.phase, event.type);
  const next: RuntimeState = to === "same" ? state : { ...state, phase: to };
  switch (event.type) {
    case "runtime_retired":
    case "runtime_recycled":
      return wokenIfQueued(next, position.at);
    case "runtime_reset":
      return { ...next, epochId: event.epochId, operations: settled(next.operations) };
    case "runtime_recovered":
      return wokenIfQueued({ ...next, epochId: event.epochId }, position.at);
    case "runtime_stopped":
    case "runtime_destroyed":
      return { ...next, operations: settled(next.operations) };
  }
}

function foldOperation(
  state: RuntimeState,
  event: OperationEvent,
  position: EventPosition,
): RuntimeState {
  const { epochId, config } = state;
  const terms = { epochId, completedRetention: config.completedRetention };
  return { ...state, operations: foldOperations(state.operations, event, position, terms) };
}

function fold(state: RuntimeState, event: RuntimeEvent, position: EventPosition): RuntimeState {
  switch (event.type) {
    case "runtime_registered":
      return foldRegistered(state, event, position);
    case "runtime_configured":
      return withConfig(state, event.config);
    case "runtime_unregistered":
      return { ...state, registration: "unregistered", peerEndpoint: null };
    case "input_admitted":
      return foldAdmission(state, event, position);
    case "input_superseded":
    case "input_coalesced":
      return foldSupersession(state, event, position);
    case "queue_abandoned":
      return foldQueueAbandoned(state, event, position);
    case "inputs_cancelled":
      return foldInputsCancelled(state, event, position);
    case "lease_granted":
    case "lease_released":
    case "lease_lapsed":
    case "lease_fenced":
      return foldLease(state, event, position);
    case "run_started":
    case "run_acknowledged":
    case "boundary_committed":
    case "run_interrupted":
    case "run_completed":
    case "run_failed":
    case "run_cancelled":
    case "run_returned":
      return foldRun(state, event, position);
    case "runtime_retired":
    case "runtime_recycled":
    case "runtime_reset":
    case "runtime_recovered":
    case "runtime_stopped":
    case "runtime_destroyed":
      return foldPhase(state, event, position);
    case "silent_intents_set":
      return { ...state, silentIntents: event.intents };
    case "peer_ingress_updated":
      return foldPeerIngress(state, event);
    case "drain_started":
    case "drain_spawned":
    case "drain_exited":
    case "drain_aborted":
      return foldDrain(state, event, position);
    case "event_published":
      return state;
    default:
      return foldOperation(state, event, position);
  }
}

/** Whether as much is queued as may be. */
function isFull(state: RuntimeState): boolean {
  return queuedCount(state) >= state.config.queueLimit;
}

/** Since when the runtime is as it is after an event. */
function standingSince(before: RuntimeState, after: RuntimeState, at: TimeMs): StandingSince {
  const isRegistrationNew = before.registration !== after.registration;
  const isFirst = before.registration === "none" && isRegistrationNew;
  const isPhaseNew = before.phase !== after.phase || isFirst;
  const isEmptyNew = (queuedCount(before) > 0 && queuedCount(after) === 0) || isFirst;
  const isUnattendedNew = before.lease !== null && after.lease === null;
  const isFullNew = isFull(after) && !isFull(before);
  const { since } = before;
  const isMoved = isRegistrationNew || isPhaseNew || isEmptyNew || isUnattendedNew || isFullNew;
  if (!isMoved) return since;
  return {
    registration: isRegistrationNew ? at : since.registration,
    phase: isPhaseNew ? at : since.phase,
    empty: isEmptyNew ? at : since.empty,
    unattended: isUnattendedNew ? at : since.unattended,
    full: isFullNew ? at : since.full,
  };
}

/** The state after one event. Throws FoldError when the event cannot follow the state. */
export function evolve(
  state: RuntimeState,
  event: RuntimeEvent,
  position: EventPosition,
): RuntimeState {
  const { at } = position;
  const after = fold(state, event, position);
  return { ...after, updatedAt: at, since: standingSince(state, after, at) };
}
