/** How the drain changes the state; an event that cannot follow it throws FoldError. */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import { assertStep } from "../shared/step.ts";
import type { Drain } from "./drain-state.ts";
import { DRAIN_STEPS, type DrainStepName } from "./drain-table.ts";
import type { RuntimeEvent } from "./events.ts";
import type { RuntimeState } from "./state.ts";

type EventOf<Type extends RuntimeEvent["type"]> = Extract<RuntimeEvent, { readonly type: Type }>;

/** Events of the drain. */
export type DrainEvent = EventOf<
  "drain_started" | "drain_spawned" | "drain_exited" | "drain_aborted"
>;

function stepOf(event: DrainEvent): DrainStepName {
  if (event.type !== "drain_exited" || !event.isRespawnable) return event.type;
  return "drain_exited_respawnable";
}

function moved(event: DrainEvent): Partial<Drain> {
  switch (event.type) {
    case "drain_started":
      return { mode: event.mode, sequence: event.sequence };
    case "drain_spawned": {
      const { executorId, incarnationId } = event;
      return { host: { executorId, incarnationId } };
    }
    case "drain_exited": {
      const { reason, notBefore, failures } = event;
      return { host: null, lastExit: reason, notBefore, failures };
    }
    case "drain_aborted":
      return { host: null, lastExit: "aborted", notBefore: 0, failures: 0 };
  }
}

/** The state after an event of its drain. */
export function foldDrain(
  state: RuntimeState,
  event: DrainEvent,
  position: EventPosition,
): RuntimeState {
  const { drain } = state;
  const step = DRAIN_STEPS[stepOf(event)];
  assertStep(step, drain.phase, event.type);
  const expected = event.type === "drain_started" ? drain.sequence + 1 : drain.sequence;
  if (event.sequence !== expected) {
    throw new FoldError(`${event.type} names drain ${event.sequence}, not ${expected}`);
  }
  const next = { ...drain, ...moved(event), phase: step.to, since: position.at };
  return { ...state, drain: next };
}

/** The state with another peer ingress; a drain that failed before may be tried at once. */
export function foldPeerIngress(
  state: RuntimeState,
  event: EventOf<"peer_ingress_updated">,
): RuntimeState {
  const { keepAlive, endpoint } = event;
  return {
    ...state,
    config: { ...state.config, keepAlive },
    peerEndpoint: endpoint ?? null,
    drain: { ...state.drain, notBefore: 0, failures: 0 },
  };
}
