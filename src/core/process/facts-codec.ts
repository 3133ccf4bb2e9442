/**
 * The record of a process as readers get it: everything but input, declared types and output. Views
 * keep it as JSON, so that lists load no process; a lease token is never part of it.
 */
import type { JsonObject } from "../shared/json.ts";
import type { RegisteredProcess } from "./registration.ts";
import type { Lease, ProcessState } from "./state.ts";
import { type TaskFacet, type TaskRegistration, type TaskStateName, taskStateOf } from "./task.ts";
import type { TerminalStatus } from "./terms.ts";

/** The record of a process. */
export interface ProcessFacts
  extends Pick<
      ProcessState,
      | "processId"
      | "registrationHash"
      | "createdAt"
      | "updatedAt"
      | "end"
      | "prunedAt"
      | "wakeRuntimeId"
      | "externalRef"
      | "wait"
      | "cancelRequest"
      | "abandonRequest"
      | "generation"
      | "firstStart"
      | "holderCount"
      | "lastSequence"
    >,
    Omit<RegisteredProcess, "eventTypes" | "wakeRuntimeId" | "task"> {
  readonly status: "running" | TerminalStatus;
  /** Who holds it, without the token. */
  readonly lease: Omit<Lease, "leaseToken"> | null;
  /** The facet as it is; null for a process that is no task. */
  readonly task:
    | (Omit<TaskRegistration, "sessionId"> & TaskFacet & { readonly state: TaskStateName })
    | null;
}

function taskOf(state: ProcessState): ProcessFacts["task"] {
  const { registration, task, end, cancelRequest } = state;
  if (task === null || registration?.task === undefined) return null;
  const name = taskStateOf(task, end?.status, cancelRequest !== null);
  return { ...registration.task, ...task, state: name };
}

function withoutToken({ generation, owner, ttlMs, claimedAt }: Lease): ProcessFacts["lease"] {
  return { generation, owner, ttlMs, claimedAt };
}

/** The record of a registered process; undefined when nobody registered it. */
export function processFactsOf(state: ProcessState): ProcessFacts | undefined {
  const { registration, lease } = state;
  if (registration === null) return undefined;
  const { provenance, disposition, identity, labels, environmentRef, attemptsMax } = registration;
  return {
    processId: state.processId,
    registrationHash: state.registrationHash,
    createdAt: state.createdAt,
    updatedAt: state.updatedAt,
    end: state.end,
    prunedAt: state.prunedAt,
    wakeRuntimeId: state.wakeRuntimeId,
    externalRef: state.externalRef,
    wait: state.wait,
    cancelRequest: state.cancelRequest,
    abandonRequest: state.abandonRequest,
    generation: state.generation,
    firstStart: state.firstStart,
    holderCount: state.holderCount,
    lastSequence: state.lastSequence,
    provenance,
    disposition,
    identity,
    labels,
    ...(environmentRef === undefined ? {} : { environmentRef }),
    ...(attemptsMax === undefined ? {} : { attemptsMax }),
    status: state.end?.status ?? "running",
    lease: lease === null ? null : withoutToken(lease),
    task: taskOf(state),
  };
}

/** The record as a view row keeps it: without what is said about the external reference. */
export function factsToJson(state: ProcessState): JsonObject {
  const facts = processFactsOf(state);
  if (facts === undefined) return {};
  const { externalRef } = facts;
  const shortened =
    externalRef === null
      ? null
      : { backend: externalRef.backend, externalId: externalRef.externalId };
  return { ...facts, externalRef: shortened } as unknown as JsonObject;
}
