// The operations and the drain of a simulated runtime as the journal tells them, by rules of their
// own, and what callers were told of them.
import type { RuntimeEvent } from "../../../src/core/runtime/events.ts";
import type { RuntimeAnswer } from "./runtime-history.ts";

type Blame = (violation: string) => void;

/** One operation as the journal tells it. */
interface TrueOperation {
  status: "provisioning" | "running" | "ended";
  /** The events that it went through, each with its revision. */
  readonly steps: Map<string, number>;
}

/** What the journal tells of operations and drains. */
export interface TrueSidelines {
  readonly operations: Map<string, TrueOperation>;
  readonly collected: Set<string>;
  completions: number;
  observed: number;
  /** Highest completion sequence of a background operation, and of those that were told of. */
  background: number;
  told: number;
  readonly children: Set<string>;
  hasEndpoint: boolean;
  drain: { readonly sequence: number; phase: "starting" | "running" | "respawnable" | "over" };
  /** Who hosted each drain and how it ended, by sequence. */
  readonly hosts: Map<number, string>;
  readonly drainEnds: Map<number, string>;
}

/** A runtime without any. */
export function noSidelines(): TrueSidelines {
  return {
    operations: new Map(),
    collected: new Set(),
    completions: 0,
    observed: 0,
    background: 0,
    told: 0,
    children: new Set(),
    hasEndpoint: false,
    drain: { sequence: 0, phase: "over" },
    hosts: new Map(),
    drainEnds: new Map(),
  };
}

type StepEvent = Extract<RuntimeEvent, { readonly operationId: string }>;

function step(truth: TrueSidelines, event: StepEvent, revision: number, blame: Blame): void {
  const { type, operationId } = event;
  const operation = truth.operations.get(operationId);
  if (type === "operation_registered") {
    if (operation) blame(`operation ${operationId} was registered twice`);
    if (event.ordinal !== truth.operations.size + 1) blame(`operation ${operationId}: ordinal`);
    const steps = new Map([[type, revision]]);
    truth.operations.set(operationId, { status: "provisioning", steps });
    if (event.kind === "mob_member_child") truth.children.add(operationId);
    return;
  }
  if (!operation || operation.status === "ended") {
    blame(`${type} of operation ${operationId}, which is ${operation?.status ?? "unknown"}`);
    return;
  }
  operation.steps.set(type, revision);
  if (type === "operation_provisioned") operation.status = "running";
  if (!("sequence" in event)) return;
  operation.status = "ended";
  truth.completions += 1;
  if (event.sequence !== truth.completions) blame(`completion ${event.sequence}: a gap`);
  if (!truth.children.has(operationId)) truth.background = event.sequence;
}

function followDrain(truth: TrueSidelines, event: RuntimeEvent, blame: Blame): boolean {
  const { drain } = truth;
  const isActive = drain.phase === "starting" || drain.phase === "running";
  switch (event.type) {
    case "peer_ingress_updated":
      truth.hasEndpoint = event.endpoint !== undefined;
      return true;
    case "drain_started":
      if (isActive) blame(`drain ${event.sequence} started beside another one`);
      if (event.sequence !== drain.sequence + 1) blame(`drain ${event.sequence}: a gap`);
      truth.drain = { sequence: event.sequence, phase: "starting" };
      return true;
    case "drain_spawned":
      if (drain.phase !== "starting") blame(`drain ${event.sequence} was hosted while it ran`);
      drain.phase = "running";
      truth.hosts.set(event.sequence, event.incarnationId);
      break;
    case "drain_exited":
      if (!isActive) blame(`drain ${event.sequence} ended when it was over`);
      drain.phase = event.isRespawnable ? "respawnable" : "over";
      truth.drainEnds.set(event.sequence, event.reason);
      break;
    case "drain_aborted":
      if (drain.phase === "over") blame(`drain ${event.sequence} was aborted when it was over`);
      drain.phase = "over";
      truth.drainEnds.set(event.sequence, "aborted");
      break;
    default:
      return false;
  }
  if (event.sequence !== drain.sequence) blame(`${event.type} of drain ${event.sequence}`);
  return true;
}

/** Follows an event of an operation or of the drain; false when it is none. */
export function followSidelines(
  truth: TrueSidelines,
  event: RuntimeEvent,
  revision: number,
  blame: Blame,
): boolean {
  if (event.type === "operations_collected") {
    for (const operationId of event.operationIds) {
      if (truth.collected.has(operationId)) blame(`operation ${operationId} was collected twice`);
      if (truth.operations.get(operationId)?.status !== "ended") blame(`${operationId} runs still`);
      truth.collected.add(operationId);
    }
    return true;
  }
  if (event.type === "completions_observed") {
    if (event.throughSequence > truth.completions) blame("completions were seen before they were");
    truth.observed = event.throughSequence;
    if (event.continuationId !== undefined) truth.told = event.throughSequence;
    return true;
  }
  if (event.type.startsWith("operation_") && "operationId" in event) {
    step(truth, event, revision, blame);
    return true;
  }
  return followDrain(truth, event, blame);
}

/** What must be so after each commit. */
export function judgeSidelines(truth: TrueSidelines, blame: Blame): void {
  if (!truth.hasEndpoint && truth.drain.phase !== "over") blame("a drain outlives its ingress");
}

/** What must be so once all work is done. */
export function judgeSidelinesAtRest(truth: TrueSidelines, blame: Blame): void {
  for (const [operationId, { status }] of truth.operations) {
    if (status !== "ended") blame(`operation ${operationId} was never ended`);
  }
  if (truth.observed !== truth.completions) blame("a completion was never looked at");
  if (truth.told < truth.background) blame("a background completion was told to nobody");
}

/** The event that each answered step must have left behind. */
const STEP_EVENTS: Readonly<Record<string, string>> = {
  register_operation: "operation_registered",
  mark_operation_provisioned: "operation_provisioned",
  report_operation_progress: "operation_progressed",
  complete_operation: "operation_completed",
  fail_operation: "operation_failed",
  cancel_operation: "operation_cancelled",
  abort_operation_provisioning: "operation_provisioning_aborted",
};

/** What is wrong with an answer about operations or drains; `undefined` when nothing is. */
export function judgeSidelineAnswer(
  { command, reply, revision }: RuntimeAnswer,
  truth: TrueSidelines,
): string | undefined {
  if (reply.type === "operation") {
    const steps = truth.operations.get(reply.operationId)?.steps;
    const at = steps?.get(STEP_EVENTS[command.type] ?? "");
    if (at === undefined || at > revision) return "tells of a step that is not stored";
  }
  if (reply.type === "collected") {
    const isStored = reply.operationIds.every((operationId) => truth.collected.has(operationId));
    if (!isStored) return "collected what is not stored as collected";
  }
  if (command.type === "host_drain" && reply.type === "drain_hosted" && reply.hosted) {
    const isHost = [...truth.hosts.values()].includes(command.incarnationId);
    if (!isHost) return "names a host that never was one";
  }
  if (command.type === "notify_drain_exited" && reply.type === "drain_ended" && reply.ended) {
    if (truth.drainEnds.get(command.sequence) !== command.reason) return "ended a drain otherwise";
  }
  return undefined;
}
