/** The fold of logged events and of the wakes that they cause. */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import { isJsonObject } from "../shared/json.ts";
import { assertStep } from "../shared/step.ts";
import { CANCEL_REQUESTED } from "./core-types.ts";
import type { EventAppended, ProcessStreamEvent } from "./events.ts";
import { type Landmarks, withEvent } from "./landmarks.ts";
import { PROCESS_LEASE_STEPS } from "./lease-table.ts";
import { withLast } from "./ordinal-ranges.ts";
import type {
  CancelRequest,
  EventHeader,
  EventTypeCount,
  PendingWake,
  ProcessState,
} from "./state.ts";
import { situationOf } from "./table.ts";
import { facetAfter } from "./task.ts";
import type { EventPlace } from "./terms.ts";

type EventOf<Type extends ProcessStreamEvent["type"]> = Extract<
  ProcessStreamEvent,
  { readonly type: Type }
>;

const NONE: EventTypeCount = { count: 0, lastSequence: 0, landmarks: [] };

function headerOf(
  event: EventAppended,
  place: EventPlace,
  at: number,
  landmarks: Landmarks,
): EventHeader {
  const { eventType, bodyHash, replayKey, wake } = event;
  return {
    ...place,
    eventType,
    at,
    bodyHash,
    ...(replayKey === undefined ? {} : { replayKey }),
    ...(wake === undefined
      ? {}
      : { wake: { wakeOrdinal: wake.wakeOrdinal, runtimeId: wake.runtimeId } }),
    landmarks,
  };
}

function withWake(
  state: ProcessState,
  event: EventAppended,
  place: EventPlace,
  at: number,
): ProcessState {
  const { wake } = event;
  if (wake === undefined) return state;
  const { wakeOrdinal, runtimeId } = wake;
  const pending: PendingWake = { place, runtimeId, createdAt: at, attempts: 0, notBefore: 0 };
  return {
    ...state,
    wakeCount: wakeOrdinal,
    unacknowledgedWakes: withLast(state.unacknowledgedWakes, wakeOrdinal),
    outbox: state.outbox.with(event.sequence, pending),
  };
}

function withEnd(
  state: ProcessState,
  event: EventAppended,
  place: EventPlace,
  at: number,
): ProcessState {
  const { terminal } = event;
  if (terminal === undefined) return state;
  assertStep<string>(PROCESS_LEASE_STEPS.terminal_event, situationOf(state), "a terminal event");
  const end = { status: terminal, place, endedAt: at };
  return { ...state, end, lease: null, wait: null };
}

function cancelRequestOf(event: EventAppended, at: number): CancelRequest | null {
  if (event.eventType !== CANCEL_REQUESTED) return null;
  const { payload, sequence } = event;
  const reason = isJsonObject(payload) ? payload["reason"] : undefined;
  return { reason: typeof reason === "string" ? reason : "", requestedAt: at, sequence };
}

function taskAfter(state: ProcessState, event: EventAppended, at: number): ProcessState["task"] {
  if (state.task === null) return null;
  const happening = {
    isCancel: event.eventType === CANCEL_REQUESTED && state.cancelRequest === null,
    isEnd: event.terminal !== undefined,
    isAbort: event.aborted === true,
  };
  const isOutside = state.registration?.disposition === "externally_owned";
  return facetAfter(state.task, happening, isOutside, at);
}

/** Folds a logged event. */
export function foldAppended(
  state: ProcessState,
  event: EventAppended,
  position: EventPosition,
): ProcessState {
  const { sequence, eventType, replayKey } = event;
  if (state.registration === null || sequence !== state.lastSequence + 1) {
    throw new FoldError(`event ${sequence} cannot follow event ${state.lastSequence}`);
  }
  const { at } = position;
  const place = { sequence, revision: position.revision, eventIndex: position.index };
  const { count, landmarks } = state.typeCounts.get(eventType) ?? NONE;
  const counted = {
    count: count + 1,
    lastSequence: sequence,
    landmarks: withEvent(landmarks, count, sequence),
  };
  const logged: ProcessState = {
    ...state,
    updatedAt: at,
    lastSequence: sequence,
    typeCounts: state.typeCounts.with(eventType, counted),
    events: state.events.with(sequence, headerOf(event, place, at, landmarks)),
    replayKeys:
      replayKey === undefined ? state.replayKeys : state.replayKeys.with(replayKey, sequence),
    cancelRequest: state.cancelRequest ?? cancelRequestOf(event, at),
    task: taskAfter(state, event, at),
  };
  return withEnd(withWake(logged, event, place, at), event, place, at);
}

/** Folds what became of a wake for good: its header may be forgotten from now on. */
export function foldWakeSettled(
  state: ProcessState,
  { sequence, settlement }: EventOf<"wake_settled">,
): ProcessState {
  const header = state.events.get(sequence);
  if (header?.wake === undefined || !state.outbox.has(sequence)) {
    throw new FoldError(`event ${sequence} has no wake in the outbox`);
  }
  const settled = { ...header, wake: { ...header.wake, settlement } };
  return {
    ...state,
    events: state.events.with(sequence, settled),
    outbox: state.outbox.without(sequence),
  };
}

/** Folds that a wake is tried again later. */
export function foldWakeDeferred(
  state: ProcessState,
  { sequence, attempts, notBefore, cause }: EventOf<"wake_deferred">,
): ProcessState {
  const pending = state.outbox.get(sequence);
  if (pending === undefined) throw new FoldError(`event ${sequence} has no wake in the outbox`);
  const deferred = { ...pending, attempts, notBefore, cause };
  return { ...state, outbox: state.outbox.with(sequence, deferred) };
}
