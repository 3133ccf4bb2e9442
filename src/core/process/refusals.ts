/** The refusals of a process, each with the facts that a program needs to go on. */
import type { Decision } from "../shared/aggregate.ts";
import { type FieldViolation, type Refusal, refusalOf } from "../shared/refusal.ts";
import type { ProcessId } from "../shared/ids.ts";
import type { LeaseProof } from "./commands.ts";
import type { EventHeader, ProcessState } from "./state.ts";
import { type ProcessAction, verdictOf } from "./table.ts";

/** The decision to refuse. */
export function refused(refusal: Refusal): Decision<never, never> {
  return { kind: "refuse", refusal };
}

/** Nobody registered the process. */
function notFound(processId: ProcessId): Refusal {
  return refusalOf("PROCESS_NOT_FOUND", "The process is not registered; call RegisterProcess", {
    processId,
  });
}

/** The process was there and is not retained any more. */
function noLongerRetained(state: ProcessState): Refusal {
  return refusalOf("NO_LONGER_RETAINED", "The process ended and was pruned; its id stays used", {
    processId: state.processId,
    status: state.end?.status ?? "",
    label: state.registration?.identity.label ?? "",
    prunedAtMs: state.prunedAt ?? 0,
  });
}

/** The process is over. */
export function processTerminal(state: ProcessState): Refusal {
  return refusalOf("PROCESS_TERMINAL", "The process has ended, and an end never changes", {
    processId: state.processId,
    status: state.end?.status ?? "",
    sequence: state.end?.place.sequence ?? 0,
  });
}

/** The refusal that the table of actions names; undefined where it lets the action through. */
export function refusedByTable(
  state: ProcessState,
  action: ProcessAction,
  processId: ProcessId,
): Refusal | undefined {
  switch (verdictOf(state, action)) {
    case "PROCESS_NOT_FOUND":
      return notFound(processId);
    case "NO_LONGER_RETAINED":
      return noLongerRetained(state);
    case "PROCESS_TERMINAL":
      return processTerminal(state);
    default:
      return undefined;
  }
}

/** Another registration has this id. */
export function registrationConflict(state: ProcessState, registrationHash: string): Refusal {
  return refusalOf(
    "REGISTRATION_HASH_CONFLICT",
    "The id belongs to a process that was registered differently; choose another id",
    {
      processId: state.processId,
      existingHash: state.registrationHash,
      registrationHash,
    },
  );
}

/** The key belongs to another event. */
export function replayKeyConflict(state: ProcessState, existing: EventHeader): Refusal {
  return refusalOf(
    "REPLAY_KEY_CONFLICT",
    "The replay key belongs to an event with another type or payload",
    {
      processId: state.processId,
      sequence: existing.sequence,
      eventType: existing.eventType,
    },
  );
}

/** The process declares no such type. */
export function typeUndeclared(state: ProcessState, eventType: string): Refusal {
  return refusalOf("EVENT_TYPE_UNDECLARED", "The process does not declare this event type", {
    processId: state.processId,
    eventType,
  });
}

/** Such an event needs a key. */
export function replayKeyRequired(state: ProcessState, eventType: string): Refusal {
  return refusalOf(
    "REPLAY_KEY_REQUIRED",
    "An event that ends the process or asks for its end needs a replay key",
    { processId: state.processId, eventType },
  );
}

/** The payload does not fit the schema of its type. */
export function schemaMismatch(
  state: ProcessState,
  eventType: string,
  violations: readonly FieldViolation[],
): Refusal {
  const message = "The payload does not fit the schema that the process declares for the type";
  const facts = { processId: state.processId, eventType };
  return { ...refusalOf("PAYLOAD_SCHEMA_MISMATCH", message, facts), violations };
}

/** What the declared semantics need of the payload is not there. */
export function selectorUnresolved(
  state: ProcessState,
  eventType: string,
  pointer: string | undefined,
): Refusal {
  const message =
    pointer === undefined
      ? "The payload holds no output that leads to the status which the type declares"
      : "The payload has nothing at the place that the type's semantics read";
  return refusalOf("SELECTOR_UNRESOLVED", message, {
    processId: state.processId,
    eventType,
    ...(pointer === undefined ? {} : { pointer }),
  });
}

/** What the edge knew of the process is not what it is. */
export function staleVerdict(state: ProcessState): Refusal {
  const message = "The process was registered while the call was on its way; send it again";
  return { ...refusalOf("CONFLICT", message, { processId: state.processId }), retryAfterMs: 0 };
}

/** Another owner holds the process. */
export function leaseHeld(state: ProcessState): Refusal {
  const { lease } = state;
  return refusalOf("LEASE_HELD", "Another worker holds the process; wait for its lease to end", {
    processId: state.processId,
    ownerId: lease?.owner.ownerId ?? "",
    incarnationId: lease?.owner.incarnationId ?? "",
    generation: lease?.generation ?? 0,
    ttlMs: lease?.ttlMs ?? 0,
  });
}

/** The caller's hold is not the current one. */
export function leaseLost(state: ProcessState, proof: LeaseProof): Refusal {
  return refusalOf("LEASE_LOST", "This hold on the process is over; stop working on it", {
    processId: state.processId,
    generation: proof.generation,
    currentGeneration: state.generation,
    ownerId: state.lease?.owner.ownerId ?? "",
  });
}

/** Only whoever holds the process may do that. */
export function leaseRequired(state: ProcessState): Refusal {
  return refusalOf("LEASE_REQUIRED", "Only the worker that holds the process may do that", {
    processId: state.processId,
    ownerId: state.lease?.owner.ownerId ?? "",
    generation: state.generation,
  });
}

/** The authority does not fit the process. */
export function authorityRefused(state: ProcessState, why: string): Refusal {
  return refusalOf("AUTHORITY_REFUSED", `The process cannot be ended with this authority: ${why}`, {
    processId: state.processId,
    disposition: state.registration?.disposition ?? "",
  });
}

/** No worker can have the process. */
export function notClaimable(state: ProcessState, why: string): Refusal {
  return refusalOf("NOT_CLAIMABLE", `The process cannot be claimed: ${why}`, {
    processId: state.processId,
    disposition: state.registration?.disposition ?? "",
    attempts: state.generation,
  });
}

/** The reference is written and is another one. */
export function externalRefConflict(state: ProcessState): Refusal {
  return refusalOf(
    "EXTERNAL_REF_CONFLICT",
    "The process has another external reference, and it is written once",
    {
      processId: state.processId,
      backend: state.externalRef?.backend ?? "",
      externalId: state.externalRef?.externalId ?? "",
    },
  );
}

/** The process carries no task facet. */
export function notATask(state: ProcessState): Refusal {
  return refusalOf("NOT_A_TASK", "The process is not a background task", {
    processId: state.processId,
  });
}

/** A named limit is reached. */
export function limitExceeded(state: ProcessState, limit: string, maximum: number): Refusal {
  return refusalOf("LIMIT_EXCEEDED", `The process has reached the limit ${limit}`, {
    processId: state.processId,
    limit,
    maximum,
  });
}
