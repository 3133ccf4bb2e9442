/**
 * Appending events: the order of the checks is part of the contract. A replay is answered before
 * anything else is looked at, so that an exact retry succeeds on a process that ended since (P4).
 */
import type { DecideContext, Decision, RecordLookup } from "../shared/aggregate.ts";
import type { Json } from "../shared/json.ts";
import type { RuntimeId } from "../shared/ids.ts";
import type { Refusal } from "../shared/refusal.ts";
import { outputOf } from "./await-output.ts";
import type { LeaseProof, ProcessCommand, ProcessReply } from "./commands.ts";
import { CANCEL_REQUESTED, TERMINAL_EVENT_TYPES } from "./core-types.ts";
import type { EventAppended, ProcessStreamEvent, WakeMaterial } from "./events.ts";
import { eventHeaderFromRecord, PROCESS_EVENTS_CLASS, replayLookup } from "./record-codec.ts";
import {
  authorityRefused,
  leaseLost,
  leaseRequired,
  limitExceeded,
  processTerminal,
  refused,
  refusedByTable,
  replayKeyConflict,
  replayKeyRequired,
  schemaMismatch,
  selectorUnresolved,
  staleVerdict,
  typeUndeclared,
} from "./refusals.ts";
import type { DeclaredEventType, EventSemantics } from "./registration.ts";
import { isTruthy, type Selection, select, textOf } from "./selector.ts";
import type { EventHeader, ProcessState } from "./state.ts";
import type { TerminalStatus } from "./terms.ts";

/** A decision on a command to a process. */
export type ProcessDecision = Decision<ProcessStreamEvent, ProcessReply>;

type CommandOf<Type extends ProcessCommand["type"]> = Extract<
  ProcessCommand,
  { readonly type: Type }
>;

/** Most wakes that may wait for their delivery. */
const OUTBOX_MAX = 1_000;

/** Types that CompleteProcess alone appends, because it asks by what the process may be ended. */
const COMPLETION_TYPES: ReadonlySet<string> = new Set(Object.values(TERMINAL_EVENT_TYPES));

/** Whether a proof is of the hold on the process as it is. */
export function holdsLease(state: ProcessState, proof: LeaseProof): boolean {
  const { lease } = state;
  return (
    lease !== null && lease.leaseToken === proof.leaseToken && lease.generation === proof.generation
  );
}

/** Lookup of a replay key, where the state may have forgotten it. */
export function replayLookups(
  state: ProcessState,
  replayKey: string | undefined,
): readonly RecordLookup[] {
  if (replayKey === undefined || state.lastSequence === 0) return [];
  if (state.replayKeys.has(replayKey)) return [];
  return [{ recordClass: PROCESS_EVENTS_CLASS, lookup: replayLookup(replayKey) }];
}

/** The event that was appended under a key, held or forgotten. */
export function eventOfKey(
  state: ProcessState,
  replayKey: string,
  context: DecideContext,
): EventHeader | undefined {
  const sequence = state.replayKeys.get(replayKey);
  if (sequence !== undefined) return state.events.get(sequence);
  const record = context.found.find(PROCESS_EVENTS_CLASS, replayLookup(replayKey));
  return record === undefined ? undefined : eventHeaderFromRecord(record);
}

/** The answer that an event is there already. */
export function replayed(header: EventHeader): ProcessDecision {
  const { sequence, revision, eventIndex } = header;
  const place = { sequence, revision, eventIndex };
  return { kind: "answer", reply: { type: "appended", place, replayed: true } };
}

/** The answer to a key that is taken: a replay, or a conflict with another event. */
export function answeredByKey(
  state: ProcessState,
  existing: EventHeader,
  eventType: string,
  bodyHash: string,
): ProcessDecision {
  const isSame = existing.eventType === eventType && existing.bodyHash === bodyHash;
  return isSame ? replayed(existing) : refused(replayKeyConflict(state, existing));
}

function dedupeKeyOf(
  state: ProcessState,
  wake: NonNullable<EventSemantics["wake"]>,
  payload: Json,
  sequence: number,
): Selection {
  switch (wake.dedupe.type) {
    case "event_identity":
      return { found: true, value: `${state.processId}:${sequence}` };
    case "selector":
      return select(wake.dedupe.selector, payload);
    case "fixed":
      return { found: true, value: wake.dedupe.value };
  }
}

/** The wake that an event causes; undefined when none, a pointer when it leads nowhere. */
function wakeOf(
  state: ProcessState,
  declared: DeclaredEventType,
  payload: Json,
  runtimeId: RuntimeId | null,
): WakeMaterial | { readonly pointer: string } | undefined {
  const { wake } = declared.semantics;
  if (wake === undefined) return undefined;
  const when = wake.when === undefined ? undefined : select(wake.when, payload);
  if (when?.found === false) return { pointer: when.pointer };
  if (when !== undefined && !isTruthy(when.value)) return undefined;
  const input = select(wake.input, payload);
  if (!input.found) return { pointer: input.pointer };
  const dedupeKey = dedupeKeyOf(state, wake, payload, state.lastSequence + 1);
  if (!dedupeKey.found) return { pointer: dedupeKey.pointer };
  if (runtimeId === null) return undefined;
  return {
    wakeOrdinal: state.wakeCount + 1,
    runtimeId,
    dedupeKey: textOf(dedupeKey.value),
    input: textOf(input.value),
  };
}

/** What an event brings about by the semantics of its type. */
export interface Consequences {
  readonly terminal?: TerminalStatus;
  readonly wake?: WakeMaterial;
}

function consequencesOf(
  state: ProcessState,
  declared: DeclaredEventType,
  payload: Json,
  wakeRuntimeId: RuntimeId | undefined,
): Consequences | Refusal {
  const output = outputOf(declared, payload);
  if (output?.type === "problem") {
    return selectorUnresolved(state, declared.name, output.pointer);
  }
  const wake = wakeOf(state, declared, payload, wakeRuntimeId ?? state.wakeRuntimeId);
  if (wake !== undefined && "pointer" in wake) {
    return selectorUnresolved(state, declared.name, wake.pointer);
  }
  const terminal = declared.semantics.terminal?.status;
  return {
    ...(terminal === undefined ? {} : { terminal }),
    ...(wake === undefined ? {} : { wake }),
  };
}

/** What stands against an event of a declared type with these consequences. */
function hindranceOf(
  state: ProcessState,
  command: CommandOf<"append_event">,
  { terminal, wake }: Consequences,
): Refusal | undefined {
  const { lease } = command;
  if (terminal !== undefined && state.end !== null) return processTerminal(state);
  if (lease !== undefined && !holdsLease(state, lease)) return leaseLost(state, lease);
  const isOurs = state.registration?.disposition !== "externally_owned";
  if (terminal !== undefined && lease === undefined && isOurs) return leaseRequired(state);
  if (wake !== undefined && state.outbox.size >= OUTBOX_MAX) {
    return limitExceeded(state, "undeliveredWakesMax", OUTBOX_MAX);
  }
  return undefined;
}

/** The declared type of an event; a refusal when type, key or payload are not as declared. */
function checkedType(
  state: ProcessState,
  command: CommandOf<"append_event">,
): DeclaredEventType | Refusal {
  const { eventType, replayKey, schemaVerdict } = command;
  const declared = state.registration?.eventTypes.find(({ name }) => name === eventType);
  if (declared === undefined) return typeUndeclared(state, eventType);
  const needsKey = declared.semantics.terminal !== undefined || eventType === CANCEL_REQUESTED;
  if (needsKey && replayKey === undefined) return replayKeyRequired(state, eventType);
  if (COMPLETION_TYPES.has(eventType)) {
    return authorityRefused(state, `${eventType} is no plain event; call CompleteProcess`);
  }
  switch (schemaVerdict.type) {
    case "undeclared":
      return staleVerdict(state);
    case "invalid":
      return schemaMismatch(state, eventType, schemaVerdict.violations);
    case "valid":
      return declared;
  }
}

/** Decides an append. */
export function decideAppend(
  state: ProcessState,
  command: CommandOf<"append_event">,
  context: DecideContext,
): ProcessDecision {
  const { processId, eventType, payload, bodyHash, replayKey, causedBy, lease } = command;
  const barred = refusedByTable(state, "append_event", processId);
  if (barred !== undefined) return refused(barred);
  const existing = replayKey === undefined ? undefined : eventOfKey(state, replayKey, context);
  if (existing !== undefined) return answeredByKey(state, existing, eventType, bodyHash);
  const declared = checkedType(state, command);
  if ("reason" in declared) return refused(declared);
  const consequences = consequencesOf(state, declared, payload, command.wakeRuntimeId);
  if ("reason" in consequences) return refused(consequences);
  const hindrance = hindranceOf(state, command, consequences);
  if (hindrance !== undefined) return refused(hindrance);
  const event: EventAppended = {
    type: "process_event_appended",
    sequence: state.lastSequence + 1,
    eventType,
    payload,
    bodyHash,
    ...(replayKey === undefined ? {} : { replayKey }),
    ...(causedBy === undefined ? {} : { causedBy }),
    ...(lease === undefined ? {} : { generation: lease.generation }),
    ...consequences,
  };
  return { kind: "commit", events: [event] };
}
