/**
 * The end of a process by a core event: by its holder, or with authority where no worker runs it.
 * What the edge knows of the process may be old: everything is checked against the live state.
 */
import type { DecideContext } from "../shared/aggregate.ts";
import type { Json } from "../shared/json.ts";
import type { Refusal } from "../shared/refusal.ts";
import { answeredByKey, eventOfKey, holdsLease, type ProcessDecision } from "./append.ts";
import { type AwaitOutput, STATUS_OF_OUTPUT } from "./await-output.ts";
import { terminalKey } from "./cancellation.ts";
import type { CompletionAuthority, CompletionProof, ProcessCommand } from "./commands.ts";
import { TERMINAL_EVENT_TYPES } from "./core-types.ts";
import type { EventAppended } from "./events.ts";
import {
  authorityRefused,
  leaseHeld,
  leaseLost,
  processTerminal,
  refused,
  refusedByTable,
} from "./refusals.ts";
import type { ProcessState } from "./state.ts";

type CompleteCommand = Extract<ProcessCommand, { readonly type: "complete_process" }>;

/** Type and payload of the event that ends a process so; the authority is part of it. */
export function completionEventOf(
  output: AwaitOutput,
  by: CompletionProof,
): { readonly eventType: string; readonly payload: Json } {
  const eventType = TERMINAL_EVENT_TYPES[STATUS_OF_OUTPUT[output.type]];
  const authority = by.type === "lease" ? {} : { authority: by };
  return { eventType, payload: { await_output: output, ...authority } };
}

/** Why an authority does not fit the live process; undefined when it does. */
function authorityProblem(
  state: ProcessState,
  output: AwaitOutput,
  authority: CompletionAuthority,
): Refusal | undefined {
  switch (authority.type) {
    case "external_owner":
      return state.registration?.disposition === "externally_owned"
        ? undefined
        : authorityRefused(state, "it is run by workers here, not by an owner outside");
    case "reconciled_abandon":
      if (output.type !== "abandoned") {
        return authorityRefused(state, "a reconciled wish to abandon can only abandon");
      }
      if (state.abandonRequest === null) {
        return authorityRefused(state, "nobody wished to abandon it; call RequestAbandon");
      }
      return state.lease === null ? undefined : leaseHeld(state);
  }
}

/** Decides a completion. */
export function decideComplete(
  state: ProcessState,
  command: CompleteCommand,
  context: DecideContext,
): ProcessDecision {
  const { processId, output, bodyHash, by } = command;
  const barred = refusedByTable(state, "complete_process", processId);
  if (barred !== undefined) return refused(barred);
  if (command.isSettledByAnyEnd === true && state.end !== null) {
    const { place } = state.end;
    return { kind: "answer", reply: { type: "appended", place, replayed: true } };
  }
  const { eventType, payload } = completionEventOf(output, by);
  const replayKey = terminalKey(processId, eventType);
  const existing = eventOfKey(state, replayKey, context);
  if (existing !== undefined) return answeredByKey(state, existing, eventType, bodyHash);
  if (state.end !== null) return refused(processTerminal(state));
  if (by.type === "lease") {
    if (!holdsLease(state, by)) return refused(leaseLost(state, by));
  } else {
    const problem = authorityProblem(state, output, by);
    if (problem !== undefined) return refused(problem);
  }
  const event: EventAppended = {
    type: "process_event_appended",
    sequence: state.lastSequence + 1,
    eventType,
    payload,
    bodyHash,
    replayKey,
    terminal: STATUS_OF_OUTPUT[output.type],
    ...(by.type === "lease" ? { generation: by.generation } : { authority: by }),
  };
  return { kind: "commit", events: [event] };
}
