/**
 * Wakes: the outbox of those not yet delivered, per runtime in order, and acknowledgements. A wake
 * enters the outbox with its event and leaves it settled, once (P5); how it is delivered is not
 * decided here.
 */
import type { DecideContext, RecordLookup } from "../shared/aggregate.ts";
import type { TimeMs } from "../shared/ids.ts";
import { ROLL_FORWARD_AFTER_MS } from "../shared/roll-forward.ts";
import type { ProcessDecision } from "./append.ts";
import type { ProcessCommand } from "./commands.ts";
import { hasOrdinal } from "./ordinal-ranges.ts";
import { eventHeaderFromRecord, PROCESS_EVENTS_CLASS, wakeLookup } from "./record-codec.ts";
import { limitExceeded, refused, refusedByTable } from "./refusals.ts";
import type { PendingWake, ProcessState, WakeMark } from "./state.ts";
import { verdictOf } from "./table.ts";

type CommandOf<Type extends ProcessCommand["type"]> = Extract<
  ProcessCommand,
  { readonly type: Type }
>;

/** After so long a wake that could never be delivered is given up. */
const WAKE_EXPIRY_MS = 7 * 24 * 3_600_000;
const DEFERRAL_INITIAL_MS = 1_000;
const DEFERRAL_MAX_MS = 300_000;
/** Most ranges of unacknowledged wakes; out-of-order acknowledgements make them. */
const ACKNOWLEDGEMENT_GAPS_MAX = 10_000;

const UNCHANGED: ProcessDecision = { kind: "answer", reply: { type: "done", changed: false } };

/** The oldest undelivered wake of each runtime: order is kept per process and runtime. */
function headsOf(state: ProcessState): readonly PendingWake[] {
  const runtimes = new Set<string>();
  const heads: PendingWake[] = [];
  for (const wake of state.outbox.values()) {
    if (runtimes.has(wake.runtimeId)) continue;
    runtimes.add(wake.runtimeId);
    heads.push(wake);
  }
  return heads;
}

/** The wakes that may be delivered now. */
export function dueWakes(state: ProcessState, now: TimeMs): readonly PendingWake[] {
  return headsOf(state).filter((wake) => wake.notBefore <= now);
}

/** When somebody who did not see the commits should look after the wakes; undefined: never. */
export function wakesDueAt(state: ProcessState): TimeMs | undefined {
  const times = headsOf(state).map(({ createdAt, notBefore }) =>
    Math.max(createdAt + ROLL_FORWARD_AFTER_MS, notBefore),
  );
  return times.length === 0 ? undefined : Math.min(...times);
}

/** Decides what became of a wake for good. */
export function decideSettleWake(
  state: ProcessState,
  command: CommandOf<"settle_wake">,
): ProcessDecision {
  const { sequence, settlement } = command;
  if (verdictOf(state, "settle_wake") !== "allow" || !state.outbox.has(sequence)) return UNCHANGED;
  return { kind: "commit", events: [{ type: "wake_settled", sequence, settlement }] };
}

/** Decides to try a wake again later, or to give it up when it is too old. */
export function decideDeferWake(
  state: ProcessState,
  command: CommandOf<"defer_wake">,
  context: DecideContext,
): ProcessDecision {
  const { sequence, cause } = command;
  const wake = state.outbox.get(sequence);
  if (verdictOf(state, "defer_wake") !== "allow" || wake?.attempts !== command.attempts) {
    return UNCHANGED;
  }
  if (context.now - wake.createdAt >= WAKE_EXPIRY_MS) {
    const settlement = { type: "discarded", cause: "expired" } as const;
    return { kind: "commit", events: [{ type: "wake_settled", sequence, settlement }] };
  }
  const delayMs = Math.min(DEFERRAL_MAX_MS, DEFERRAL_INITIAL_MS * 2 ** wake.attempts);
  const notBefore = context.now + Math.round(delayMs * (0.5 + context.random() / 2));
  const attempts = wake.attempts + 1;
  return {
    kind: "commit",
    events: [{ type: "wake_deferred", sequence, attempts, notBefore, cause }],
  };
}

/** Lookup of a wake whose event the state may have forgotten. */
export function ackLookups(state: ProcessState, sequence: number): readonly RecordLookup[] {
  if (state.unacknowledgedWakes.length === 0 || state.events.has(sequence)) return [];
  return [{ recordClass: PROCESS_EVENTS_CLASS, lookup: wakeLookup(sequence) }];
}

function wakeAt(
  state: ProcessState,
  sequence: number,
  context: DecideContext,
): WakeMark | undefined {
  const header = state.events.get(sequence);
  if (header !== undefined) return header.wake;
  const record = context.found.find(PROCESS_EVENTS_CLASS, wakeLookup(sequence));
  return record === undefined ? undefined : eventHeaderFromRecord(record).wake;
}

/** Decides an acknowledgement; of what is no wake, or acknowledged, nothing changes. */
export function decideAckWake(
  state: ProcessState,
  command: CommandOf<"ack_wake">,
  context: DecideContext,
): ProcessDecision {
  const { processId, sequence } = command;
  const barred = refusedByTable(state, "ack_wake", processId);
  if (barred !== undefined) return refused(barred);
  const wakeOrdinal = wakeAt(state, sequence, context)?.wakeOrdinal;
  if (wakeOrdinal === undefined || !hasOrdinal(state.unacknowledgedWakes, wakeOrdinal)) {
    return UNCHANGED;
  }
  if (state.unacknowledgedWakes.length >= ACKNOWLEDGEMENT_GAPS_MAX) {
    return refused(limitExceeded(state, "acknowledgementGapsMax", ACKNOWLEDGEMENT_GAPS_MAX));
  }
  return { kind: "commit", events: [{ type: "wake_acknowledged", sequence, wakeOrdinal }] };
}
