/**
 * Expands committed events into envelopes for watchers: the event itself first, then what it did to
 * each input, then the change of the runtime's state. Pure: from the states around the event.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import type { InputId, Revision, TimeMs } from "../shared/ids.ts";
import type {
  DrainChange,
  EnvelopeEvent,
  ExecutorChange,
  InputChange,
  RunChange,
  RuntimeEventEnvelope,
  TopologyChange,
} from "./envelope.ts";
import type { RuntimeEvent } from "./events.ts";
import { evolve } from "./evolve.ts";
import { headerOf, liveInputIds } from "./lanes.ts";
import { operationCode, operationEnvelopes } from "./operation-envelopes.ts";
import { inputIdsIn } from "./ordinal-ranges.ts";
import { kindOf, laneOfPolicy, policyOf } from "./policy.ts";
import { receiptOf } from "./receipt.ts";
import type { RuntimeState } from "./state.ts";
import { stateNameOf } from "./table.ts";
import { announcementOf } from "./task-announcement.ts";

type EventOf<Type extends RuntimeEvent["type"]> = Extract<RuntimeEvent, { readonly type: Type }>;

const inputEvent = (inputId: InputId, change: InputChange): EnvelopeEvent => {
  return { category: "input_lifecycle", inputId, change };
};
const runEvent = (
  event: { readonly runId: EventOf<"run_started">["runId"] },
  change: RunChange,
) => {
  return { category: "run_lifecycle", runId: event.runId, change } as const;
};

/** The inputs that the end of a run consumes: its contributors under a receipt. */
export function consumedByEnd(before: RuntimeState): readonly InputId[] {
  const unapplied = new Set(before.run?.staged ?? []);
  return (before.run?.contributors ?? []).filter((inputId) => !unapplied.has(inputId));
}

function topology(
  after: RuntimeState,
  change: TopologyChange,
  event: { readonly reason?: string },
): EnvelopeEvent {
  const reason = event.reason === undefined ? {} : { reason: event.reason };
  return { category: "topology", change, epochId: after.epochId, ...reason };
}

function executor(
  before: RuntimeState,
  after: RuntimeState,
  change: ExecutorChange,
  rest: { readonly runId?: EventOf<"run_started">["runId"]; readonly reason?: string } = {},
): EnvelopeEvent {
  const lease = after.lease ?? before.lease;
  const who =
    lease === null ? {} : { executorId: lease.executorId, incarnationId: lease.incarnationId };
  const { runId, reason } = rest;
  return {
    category: "executor",
    change,
    ...who,
    generation: after.generation,
    ...(runId === undefined ? {} : { runId }),
    ...(reason === undefined ? {} : { reason }),
  };
}

const DRAIN_CHANGES = {
  peer_ingress_updated: "ingress_updated",
  drain_started: "started",
  drain_spawned: "spawned",
  drain_exited: "exited",
  drain_aborted: "aborted",
} as const satisfies Record<string, DrainChange>;

function drain(
  before: RuntimeState,
  event: EventOf<keyof typeof DRAIN_CHANGES>,
  after: RuntimeState,
): EnvelopeEvent {
  const { sequence, phase, mode } = after.drain;
  const host = after.drain.host ?? before.drain.host;
  return {
    category: "drain",
    change: DRAIN_CHANGES[event.type],
    sequence,
    phase,
    ...(mode === null ? {} : { mode }),
    ...host,
    ...(event.type === "drain_exited" ? { exitReason: event.reason } : {}),
    ...(event.type === "drain_aborted" && event.reason !== undefined
      ? { reason: event.reason }
      : {}),
  };
}

function admission(event: EventOf<"input_admitted">): readonly EnvelopeEvent[] {
  const { inputId, body } = event.input;
  const lane = laneOfPolicy(policyOf(event.policy));
  return [
    inputEvent(inputId, { code: "accepted", kind: kindOf(body) }),
    inputEvent(inputId, lane === undefined ? { code: "consumed" } : { code: "queued", lane }),
  ];
}

function abandoned(
  after: RuntimeState,
  inputIds: readonly InputId[],
  detail?: string,
): readonly EnvelopeEvent[] {
  return inputIds.map((inputId) => {
    const { outcome } = headerOf(after, inputId);
    const { reason, attempts } =
      outcome?.type === "abandoned" ? outcome : { reason: "cancelled" as const, attempts: 0 };
    const more = detail === undefined ? {} : { detail };
    return inputEvent(inputId, { code: "abandoned", reason, attempts, ...more });
  });
}

function rolledBack(inputIds: readonly InputId[]): readonly EnvelopeEvent[] {
  const change = { from: "staged", to: "queued", cause: "rollback_staged" } as const;
  return inputIds.map((inputId) => inputEvent(inputId, { code: "state_transitioned", ...change }));
}

function staged(runId: EventOf<"run_started">["runId"], inputIds: readonly InputId[]) {
  return inputIds.map((inputId) => inputEvent(inputId, { code: "staged", runId }));
}

function consumed(before: RuntimeState): readonly EnvelopeEvent[] {
  const runId = before.run?.runId;
  const run = runId === undefined ? {} : { runId };
  return consumedByEnd(before).map((inputId) => inputEvent(inputId, { code: "consumed", ...run }));
}

type RunEvent = EventOf<
  | "run_started"
  | "run_acknowledged"
  | "boundary_committed"
  | "run_completed"
  | "run_failed"
  | "run_cancelled"
  | "run_returned"
>;

function runEvents(
  before: RuntimeState,
  event: RunEvent,
  after: RuntimeState,
  position: EventPosition,
): readonly EnvelopeEvent[] {
  switch (event.type) {
    case "run_started": {
      const { inputIds } = event;
      return [runEvent(event, { code: "started", inputIds }), ...staged(event.runId, inputIds)];
    }
    case "run_acknowledged":
      return [runEvent(event, { code: "acknowledged" })];
    case "boundary_committed": {
      const { runId, sequence: boundarySequence, steered } = event;
      const receipt = receiptOf(event, position);
      return [
        runEvent(event, { code: "boundary_committed", receipt, steered }),
        ...event.inputIds.map((inputId) =>
          inputEvent(inputId, { code: "applied", runId, boundarySequence }),
        ),
        ...staged(runId, steered),
      ];
    }
    case "run_completed":
      return [runEvent(event, { code: "completed" }), ...consumed(before)];
    case "run_failed": {
      const { error, recoverable, cause } = event;
      return [
        runEvent(event, { code: "failed", error, recoverable, cause }),
        ...consumed(before),
        ...rolledBack(event.rolledBack),
        ...abandoned(after, event.abandoned, error),
      ];
    }
    case "run_cancelled": {
      const { requeue, inputIds } = event;
      return [
        runEvent(event, { code: "cancelled", requeue }),
        ...consumed(before),
        ...(requeue ? rolledBack(inputIds) : abandoned(after, inputIds)),
      ];
    }
    case "run_returned":
      return [
        runEvent(event, { code: "returned", how: event.how }),
        ...consumed(before),
        ...rolledBack(event.inputIds),
      ];
  }
}

/** What an event means to watchers, without the change of the runtime's state. */
function expanded(
  before: RuntimeState,
  event: RuntimeEvent,
  after: RuntimeState,
  position: EventPosition,
): readonly EnvelopeEvent[] {
  switch (event.type) {
    case "runtime_registered":
      return [topology(after, event.returning ? "runtime_registered" : "runtime_created", {})];
    case "runtime_configured":
    case "silent_intents_set":
      return [topology(after, event.type, {})];
    case "runtime_unregistered":
    case "runtime_retired":
    case "runtime_recycled":
    case "runtime_reset":
    case "runtime_recovered":
    case "runtime_stopped":
    case "runtime_destroyed":
      return [topology(after, event.type, event)];
    case "input_admitted":
      return admission(event);
    case "input_superseded":
      return [inputEvent(event.inputId, { code: "superseded", supersededBy: event.supersededBy })];
    case "input_coalesced":
      return [inputEvent(event.inputId, { code: "coalesced", aggregateId: event.aggregateId })];
    case "queue_abandoned":
      return abandoned(after, liveInputIds(before));
    case "inputs_cancelled":
      return abandoned(after, inputIdsIn(before, event.ordinals), event.reason);
    case "lease_granted":
    case "lease_released":
    case "lease_lapsed":
    case "lease_fenced":
      return [executor(before, after, event.type)];
    case "run_interrupted":
      return [executor(before, after, "interrupt_requested", event)];
    case "peer_ingress_updated":
    case "drain_started":
    case "drain_spawned":
    case "drain_exited":
    case "drain_aborted":
      return [drain(before, event, after)];
    case "event_published":
      return [{ category: "published", payload: event.payload }];
    case "run_started":
    case "run_acknowledged":
    case "boundary_committed":
    case "run_completed":
    case "run_failed":
    case "run_cancelled":
    case "run_returned":
      return runEvents(before, event, after, position);
    default:
      return operationEnvelopes(before.operations, event, after.operations);
  }
}

function codeOf(envelope: EnvelopeEvent, event: RuntimeEvent): string {
  switch (envelope.category) {
    case "input_lifecycle":
      return `input.${envelope.change.code}`;
    case "run_lifecycle":
      return `run.${envelope.change.code}`;
    case "runtime_state_change":
      return "runtime.state_changed";
    case "topology":
      return `topology.${envelope.change}`;
    case "executor":
      return `executor.${envelope.change}`;
    case "drain":
      return `drain.${envelope.change}`;
    case "operation_lifecycle":
      return operationCode(envelope.change);
    case "published":
      return event.type === "event_published" ? event.eventCode : "";
  }
}

/** The ids that tie an envelope to what caused it and to its conversation. */
function tiesOf(
  envelope: EnvelopeEvent,
  event: RuntimeEvent,
  after: RuntimeState,
): Pick<RuntimeEventEnvelope, "causationId" | "correlationId"> {
  const isAdmission = event.type === "input_admitted";
  const source = isAdmission ? event.input : event.type === "event_published" ? event : undefined;
  const header =
    envelope.category === "input_lifecycle" ? after.inputs.get(envelope.inputId) : undefined;
  const causationId = source?.causationId;
  const correlationId = source?.correlationId ?? header?.correlationId;
  return {
    ...(causationId === undefined ? {} : { causationId }),
    ...(correlationId === undefined ? {} : { correlationId }),
  };
}

/**
 * The envelopes of one committed event, between the states around it. `firstIndex` is the number of
 * envelopes that the earlier events of the same commit have.
 */
function envelopesOf(
  before: RuntimeState,
  event: RuntimeEvent,
  after: RuntimeState,
  position: EventPosition,
  firstIndex: number,
): readonly RuntimeEventEnvelope[] {
  const events = [...expanded(before, event, after, position)];
  const [from, to] = [stateNameOf(before), stateNameOf(after)];
  if (from !== to) events.push({ category: "runtime_state_change", from, to });
  const { revision, at } = position;
  return events.map((envelope, offset) => {
    const index = firstIndex + offset;
    const published = event.type === "event_published";
    return {
      eventId: published ? event.eventId : `${revision}.${index}`,
      at,
      runtimeId: after.runtimeId,
      revision,
      index,
      eventCode: codeOf(envelope, event),
      event: envelope,
      ...tiesOf(envelope, event, after),
      published: published && announcementOf(event) === undefined,
    };
  });
}

/** The envelopes of a whole commit on the state before it. */
export function envelopesOfCommit(
  before: RuntimeState,
  events: readonly RuntimeEvent[],
  revision: Revision,
  at: TimeMs,
): readonly RuntimeEventEnvelope[] {
  const envelopes: RuntimeEventEnvelope[] = [];
  let state = before;
  for (const [index, event] of events.entries()) {
    const position = { revision, index, at };
    const after = evolve(state, event, position);
    envelopes.push(...envelopesOf(state, event, after, position, envelopes.length));
    state = after;
  }
  return envelopes;
}
