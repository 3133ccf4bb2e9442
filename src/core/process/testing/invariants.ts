/** The invariants of the folded state, member against member; see the head of `state.ts`. */
import { hasOrdinal } from "../ordinal-ranges.ts";
import type { ProcessState } from "../state.ts";

function check(holds: boolean, claim: string): void {
  if (!holds) throw new Error(`invariant broken: ${claim}`);
}

function checkEvents(state: ProcessState): void {
  const counted = [...state.typeCounts.values()].reduce((sum, { count }) => sum + count, 0);
  check(state.prunedAt !== null || counted === state.lastSequence, "P1 every event is counted");
  for (const [sequence, header] of state.events.entries()) {
    check(header.sequence === sequence && sequence <= state.lastSequence, "P1 headers in place");
    const { replayKey } = header;
    const isFound = replayKey === undefined || state.replayKeys.get(replayKey) === sequence;
    check(isFound, "P4 an event is found by its key");
  }
  for (const [key, sequence] of state.replayKeys.entries()) {
    check(state.events.get(sequence)?.replayKey === key, "P4 a key leads to its event");
  }
}

function checkWakes(state: ProcessState): void {
  for (const [sequence, wake] of state.outbox.entries()) {
    const header = state.events.get(sequence);
    check(header?.wake !== undefined, "P5 a pending wake keeps its header");
    check(header?.wake?.settlement === undefined, "P5 a pending wake is not settled");
    check(wake.place.sequence === sequence, "P5 a pending wake is in its place");
  }
  for (const header of state.events.values()) {
    const isPending = header.wake !== undefined && header.wake.settlement === undefined;
    check(isPending === state.outbox.has(header.sequence), "P5 pending means in the outbox");
    const ordinal = header.wake?.wakeOrdinal ?? 0;
    check(ordinal <= state.wakeCount, "wake ordinals rise");
  }
  const ranges = state.unacknowledgedWakes;
  for (const [index, [first, last]] of ranges.entries()) {
    check(first <= last && first > (ranges[index - 1]?.[1] ?? 0), "ranges are sorted");
  }
  check(!hasOrdinal(ranges, state.wakeCount + 1), "no acknowledgement of what never was");
}

function checkLease(state: ProcessState): void {
  const { lease, end, wait, generation, firstStart } = state;
  check((lease?.generation ?? 0) <= generation, "P3 generation of the lease");
  check(generation > 0 === (firstStart !== null), "a claim is a start");
  check(end === null || (lease === null && wait === null), "P6 nothing holds what is over");
}

/** Throws when the state breaks an invariant. */
export function assertInvariants(state: ProcessState): void {
  checkEvents(state);
  checkWakes(state);
  checkLease(state);
  const held = [...state.holders.values()].filter((mark) => mark.held).length;
  check(held === state.holderCount, "P9 holders are counted");
  check(state.prunedAt === null || state.end !== null, "only what ended is pruned");
}
