/**
 * What one run contains, and whether a run could start at all. The steer lane goes first, as a
 * whole; a prompt in the queue lane runs alone; other inputs run together up to the next prompt.
 * While the head of a lane backs off, that lane waits, so order is kept (R9).
 */
import type { InputId, TimeMs } from "../shared/ids.ts";
import type { OrderedMap } from "../shared/ordered-map.ts";
import { headerOf, queuedCount } from "./lanes.ts";
import type { InputHeader, RuntimeState } from "./state.ts";

/** Most inputs of a batch when the caller names no other number. */
export const BATCH_INPUTS_MAX = 1000;
/** Most payload bytes of a batch when the caller names no other number. */
export const BATCH_BYTES_MAX = 4 * 1024 * 1024;

/** How much a batch may hold; its first input is taken whatever its size. */
export interface BatchLimits {
  readonly inputsMax: number;
  readonly bytesMax: number;
}

/** Why no run can start now. */
export type Hindrance =
  | { readonly reason: "not_registered" | "stopped" | "destroyed" | "run_in_flight" }
  | { readonly reason: "nothing_queued" | "not_woken" }
  | { readonly reason: "backing_off"; readonly availableAt: TimeMs };

/** The leading entries of a lane that are due and pass `joins`, within the limits. */
function leading(
  state: RuntimeState,
  lane: OrderedMap<number, InputId>,
  now: TimeMs,
  limits: BatchLimits,
  joins: (header: InputHeader, chosen: readonly InputId[]) => boolean,
): readonly InputId[] {
  const chosen: InputId[] = [];
  let bytes = 0;
  for (const inputId of lane.values()) {
    const header = headerOf(state, inputId);
    bytes += header.payloadBytes;
    const isOver = chosen.length >= limits.inputsMax || bytes > limits.bytesMax;
    if (chosen.length > 0 && isOver) break;
    if (header.notBefore > now || !joins(header, chosen)) break;
    chosen.push(inputId);
    if (header.kind === "prompt" && header.lane === "queue") break;
  }
  return chosen;
}

/** The leading steer inputs that are due; empty when none is. */
export function steerBatch(
  state: RuntimeState,
  now: TimeMs,
  limits: BatchLimits,
): readonly InputId[] {
  return leading(state, state.steerLane, now, limits, () => true);
}

/** The inputs that the next run would contain; empty when nothing is due. */
export function selectBatch(
  state: RuntimeState,
  now: TimeMs,
  limits: BatchLimits,
): readonly InputId[] {
  const steering = steerBatch(state, now, limits);
  if (steering.length > 0) return steering;
  return leading(state, state.queueLane, now, limits, (header, chosen) => {
    return header.kind !== "prompt" || chosen.length === 0;
  });
}

/** When the head of a lane is due; Infinity for an empty lane. */
function dueOf(state: RuntimeState, lane: OrderedMap<number, InputId>): TimeMs {
  if (lane.size === 0) return Infinity;
  const head = lane.minKey();
  const inputId = head === undefined ? undefined : lane.get(head);
  return inputId === undefined ? Infinity : headerOf(state, inputId).notBefore;
}

/** What stands against a run whatever the time; undefined when only the time can. */
function standingHindrance(state: RuntimeState): Hindrance | undefined {
  if (state.registration !== "registered") return { reason: "not_registered" };
  if (state.phase === "stopped" || state.phase === "destroyed") return { reason: state.phase };
  if (state.run !== null) return { reason: "run_in_flight" };
  if (queuedCount(state) === 0) return { reason: "nothing_queued" };
  if (!state.wake) return { reason: "not_woken" };
  return undefined;
}

/**
 * From when on a run could start: the time the runtime was woken, or the end of the backoff; it may
 * lie in the future. Undefined while it is not to run.
 */
export function runnableSince(state: RuntimeState): TimeMs | undefined {
  if (standingHindrance(state) !== undefined) return undefined;
  const due = Math.min(dueOf(state, state.steerLane), dueOf(state, state.queueLane));
  return Math.max(state.wakeAt, due);
}

/** Why no run can start now; undefined when one can. */
export function hindranceOf(state: RuntimeState, now: TimeMs): Hindrance | undefined {
  const standing = standingHindrance(state);
  if (standing !== undefined) return standing;
  const availableAt = Math.min(dueOf(state, state.steerLane), dueOf(state, state.queueLane));
  return availableAt > now ? { reason: "backing_off", availableAt } : undefined;
}
