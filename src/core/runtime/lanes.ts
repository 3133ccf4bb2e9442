/**
 * Where inputs are: the one place that changes headers, lanes, counts and sizes together, so that
 * an input is in at most one place (R1), the counts add up (R2) and a lane stays in admission order
 * also after a rollback (R9: a lane is ordered by ordinal). Must not decide anything.
 */
import type { InputId, TimeMs } from "../shared/ids.ts";
import { FoldError } from "../shared/fold-error.ts";
import type { OrderedMap } from "../shared/ordered-map.ts";
import type { InputCounts, InputHeader, InputStateName, RuntimeState } from "./state.ts";
import { supersessionEntry } from "./supersession.ts";

/** Which count an input of a state belongs to; `accepted` counts all and is none of these. */
const COUNT_OF = {
  accepted: undefined,
  queued: "queued",
  staged: "staged",
  applied: "applied",
  applied_pending_consumption: "applied",
  consumed: "consumed",
  superseded: "superseded",
  coalesced: "coalesced",
  abandoned: "abandoned",
} as const satisfies Record<InputStateName, keyof InputCounts | undefined>;

/** The header of an input that the state must hold. Throws FoldError when it does not. */
export function headerOf(state: RuntimeState, inputId: InputId): InputHeader {
  const header = state.inputs.get(inputId);
  if (header === undefined) throw new FoldError(`input ${inputId} is not in the state`);
  return header;
}

/** The headers of inputs that the state must hold, in the given order. */
export function headersOf(state: RuntimeState, ids: readonly InputId[]): readonly InputHeader[] {
  return ids.map((inputId) => headerOf(state, inputId));
}

function holdsBytes(header: InputHeader): boolean {
  return header.state === "queued" || header.state === "staged";
}

/** Entries that a change takes out of an ordered map and puts into it. */
interface Moves<Key extends string | number> {
  readonly taken: Key[];
  readonly put: (readonly [Key, InputId])[];
}

/** The map after the moves; entries are taken before others are put. */
function moved<Key extends string | number>(
  map: OrderedMap<Key, InputId>,
  moves: Moves<Key>,
): OrderedMap<Key, InputId> {
  const fewer = moves.taken.length === 0 ? map : map.withoutKeys(moves.taken);
  return moves.put.length === 0 ? fewer : fewer.withEntries(moves.put);
}

/** The state with these headers in place of the ones of the same ids, everything else following. */
export function withHeaders(state: RuntimeState, headers: readonly InputHeader[]): RuntimeState {
  if (headers.length === 0) return state;
  const counts = { ...state.counts };
  const queue: Moves<number> = { taken: [], put: [] };
  const steer: Moves<number> = { taken: [], put: [] };
  const superseding: Moves<string> = { taken: [], put: [] };
  let liveBytes = state.liveBytes;
  const count = (header: InputHeader, step: 1 | -1): void => {
    const counted = COUNT_OF[header.state];
    if (counted !== undefined) counts[counted] += step;
    if (holdsBytes(header)) liveBytes += step * header.payloadBytes;
  };
  const take = (header: InputHeader): void => {
    count(header, -1);
    if (header.state !== "queued") return;
    (header.lane === "steer" ? steer : queue).taken.push(header.ordinal);
    const entry = supersessionEntry(header);
    if (entry !== undefined) superseding.taken.push(entry);
  };
  const put = (header: InputHeader): void => {
    count(header, 1);
    if (header.state !== "queued") return;
    (header.lane === "steer" ? steer : queue).put.push([header.ordinal, header.inputId]);
    const entry = supersessionEntry(header);
    if (entry !== undefined) superseding.put.push([entry, header.inputId]);
  };
  for (const header of headers) {
    const previous = state.inputs.get(header.inputId);
    if (previous !== undefined) take(previous);
    put(header);
  }
  return {
    ...state,
    inputs: state.inputs.withEntries(headers.map((header) => [header.inputId, header] as const)),
    queueLane: moved(state.queueLane, queue),
    steerLane: moved(state.steerLane, steer),
    superseding: moved(state.superseding, superseding),
    counts,
    liveBytes,
  };
}

/** The state with a header that it does not hold yet; one input costs no more than its places. */
export function withAdmitted(state: RuntimeState, header: InputHeader): RuntimeState {
  const { inputId, ordinal } = header;
  const counted = COUNT_OF[header.state];
  const isQueued = header.state === "queued";
  const isSteer = isQueued && header.lane === "steer";
  const entry = isQueued ? supersessionEntry(header) : undefined;
  const counts = { ...state.counts, accepted: state.counts.accepted + 1 };
  if (counted !== undefined) counts[counted] += 1;
  return {
    ...state,
    inputs: state.inputs.with(inputId, header),
    queueLane: isQueued && !isSteer ? state.queueLane.with(ordinal, inputId) : state.queueLane,
    steerLane: isSteer ? state.steerLane.with(ordinal, inputId) : state.steerLane,
    superseding: entry === undefined ? state.superseding : state.superseding.with(entry, inputId),
    admitted: state.admitted.with(ordinal, inputId),
    keys:
      header.idempotencyKey === undefined
        ? state.keys
        : state.keys.with(header.idempotencyKey, inputId),
    counts,
    liveBytes: holdsBytes(header) ? state.liveBytes + header.payloadBytes : state.liveBytes,
    ordinal,
  };
}

/** How many inputs are queued in both lanes. */
export function queuedCount(state: RuntimeState): number {
  return state.queueLane.size + state.steerLane.size;
}

/** How many inputs are not over. */
export function liveCount(state: RuntimeState): number {
  return state.counts.queued + state.counts.staged + state.counts.applied;
}

/** The ids of all inputs that are not over, in admission order within lane and run. */
export function liveInputIds(state: RuntimeState): readonly InputId[] {
  const run = state.run;
  return [...(run?.contributors ?? []), ...state.steerLane.values(), ...state.queueLane.values()];
}

/** The state with the wake flag set; the time stays that of the first setting. */
export function woken(state: RuntimeState, at: TimeMs): RuntimeState {
  return state.wake ? state : { ...state, wake: true, wakeAt: at };
}

/** The state with the wake flag set when anything is queued. */
export function wokenIfQueued(state: RuntimeState, at: TimeMs): RuntimeState {
  return queuedCount(state) > 0 ? woken(state, at) : state;
}

/** The state with the wake flag cleared when nothing is queued: it must not wake a later input. */
export function settledIfEmpty(state: RuntimeState): RuntimeState {
  return state.wake && queuedCount(state) === 0 ? { ...state, wake: false } : state;
}
