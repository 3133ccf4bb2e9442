/**
 * Translates a committed commit of a runtime into what executors are told of it. Pure. The events
 * are walked in order, because one commit may take a runtime from one executor and give it to
 * another: each message goes to whoever held the runtime at that point.
 */
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { DrainHost, PeerEndpoint } from "../core/runtime/drain-state.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import { announcementOf } from "../core/runtime/task-announcement.ts";
import type { ExecutorId, Generation, IncarnationId, RunId } from "../core/shared/ids.ts";
import type { Control, DrainControl, ExecutorMessage, LeaseLossReason } from "./messages.ts";

/** An incarnation and the lease it has or had. */
export interface NoticeHolder {
  readonly executorId: ExecutorId;
  readonly incarnationId: IncarnationId;
  readonly generation: Generation;
}

/** One message with whom it is for. */
export interface Notice {
  readonly to: NoticeHolder;
  readonly message: ExecutorMessage;
  /** The executor gave a named lease back: it is not to be served there any more. */
  readonly leaves?: true;
  /** It was cut off from a runtime that goes on: it must attach again to get it again. */
  readonly cutOff?: true;
}

/** The part of a commit that notices are made from. */
export interface NoticedCommit {
  readonly events: readonly RuntimeEvent[];
  readonly before: RuntimeState;
  readonly after: RuntimeState;
}

const CONTROLS: Readonly<Partial<Record<RuntimeEvent["type"], Control["control"]>>> = {
  run_interrupted: "interrupt",
  runtime_retired: "retire",
  runtime_stopped: "stop",
  runtime_destroyed: "destroy",
  runtime_unregistered: "unregister",
};

/** Where the walk over the events of a commit stands. */
interface Walk {
  /** Who holds the runtime now. */
  holder: (NoticeHolder & { readonly named: boolean }) | null;
  /** Who held it before the last loss in this commit. */
  former: NoticeHolder | null;
  /** The run in flight, or the one that was lost in this commit. */
  runId: RunId | undefined;
  /** Who runs the drain now, and which. */
  drain: { readonly host: DrainHost | null; readonly mode: RuntimeState["drain"]["mode"] };
  endpoint: PeerEndpoint | null;
  readonly notices: Notice[];
}

/** Why a lease ends with this event; undefined where its holder knows already. */
function lossReason(
  event: RuntimeEvent,
  next: RuntimeEvent | undefined,
  isNamed: boolean,
): LeaseLossReason | undefined {
  switch (event.type) {
    case "lease_lapsed":
      return "lapsed";
    case "lease_fenced":
      return "fenced";
    case "lease_released":
      if (next?.type === "runtime_unregistered") return "fenced";
      return isNamed ? "released" : undefined;
    case "run_returned":
      return event.how === "taken_back" && next?.type !== "lease_lapsed" ? "taken_back" : undefined;
    default:
      return undefined;
  }
}

/** Whether a runtime of this phase may be served again without being brought back first. */
function mayBeServed(phase: RuntimeState["phase"]): boolean {
  return phase !== "stopped" && phase !== "destroyed";
}

function noteLoss(
  walk: Walk,
  reason: LeaseLossReason,
  isFence: boolean,
  after: RuntimeState,
): void {
  const { holder, runId } = walk;
  if (!holder) return;
  const goesOn = after.registration === "registered" && mayBeServed(after.phase);
  const isCutOff = isFence && holder.named && goesOn;
  const isGivenAway = after.lease !== null && after.lease.generation !== holder.generation;
  walk.notices.push({
    to: holder,
    message: {
      type: "lease_lost",
      runtimeId: after.runtimeId,
      generation: holder.generation,
      currentGeneration: after.generation,
      reason,
      ...(runId === undefined ? {} : { runId }),
      ...(isGivenAway ? { holderExecutorId: after.lease.executorId } : {}),
    },
    ...(reason === "released" ? { leaves: true } : {}),
    ...(isCutOff ? { cutOff: true } : {}),
  });
}

function noteControl(walk: Walk, event: RuntimeEvent, after: RuntimeState): void {
  const control = CONTROLS[event.type];
  const to = walk.holder ?? walk.former;
  if (control === undefined || !to) return;
  const { runId, notices } = walk;
  const reason = "reason" in event ? event.reason : undefined;
  notices.push({
    to,
    message: {
      type: "control",
      runtimeId: after.runtimeId,
      generation: to.generation,
      control,
      ...(runId === undefined ? {} : { runId }),
      ...(reason === undefined ? {} : { reason }),
    },
  });
}

function drainNotice(
  host: DrainHost,
  after: RuntimeState,
  control: DrainControl["control"],
  reason?: string,
): Notice {
  const { runtimeId, generation } = after;
  const because = reason === undefined ? {} : { reason };
  return {
    to: { ...host, generation },
    message: { type: "drain_control", runtimeId, generation, control, ...because },
  };
}

/** Has the executor of the drain run it, or go on with it at another endpoint. */
function noteSpawn(walk: Walk, sequence: number, after: RuntimeState): void {
  const { host, mode } = walk.drain;
  const { endpoint } = walk;
  if (host === null || mode === null || endpoint === null) return;
  const control = { type: "spawn_drain", sequence, mode, endpoint } as const;
  walk.notices.push(drainNotice(host, after, control));
}

function noteDrain(walk: Walk, event: RuntimeEvent, after: RuntimeState): void {
  switch (event.type) {
    case "peer_ingress_updated":
      walk.endpoint = event.endpoint ?? null;
      noteSpawn(walk, after.drain.sequence, after);
      return;
    case "drain_started":
      walk.drain = { host: null, mode: event.mode };
      return;
    case "drain_spawned": {
      const { executorId, incarnationId, sequence } = event;
      walk.drain = { ...walk.drain, host: { executorId, incarnationId } };
      noteSpawn(walk, sequence, after);
      return;
    }
    case "drain_exited":
      walk.drain = { ...walk.drain, host: null };
      return;
    case "drain_aborted": {
      const { sequence, reason } = event;
      const { host } = walk.drain;
      walk.drain = { ...walk.drain, host: null };
      if (host === null) return;
      walk.notices.push(drainNotice(host, after, { type: "abort_drain", sequence }, reason));
      return;
    }
    default:
  }
}

/** Tells whoever holds the runtime of a task of its session; nobody else can run it. */
function noteTask(walk: Walk, event: RuntimeEvent, { runtimeId }: RuntimeState): void {
  const announcement = announcementOf(event);
  const to = walk.holder ?? walk.drain.host;
  if (announcement === undefined || to === null) return;
  const generation = walk.holder?.generation ?? 0;
  const message = { type: "task_control", runtimeId, generation, ...announcement } as const;
  walk.notices.push({ to: { ...to, generation }, message });
}

/** Whether the executor itself ended the run, so that it needs not be told of it. */
function endsRunAtWill(event: RuntimeEvent): boolean {
  switch (event.type) {
    case "run_completed":
    case "run_cancelled":
      return true;
    case "run_failed":
      return event.cause === "executor";
    case "run_returned":
      return event.how === "released";
    default:
      return false;
  }
}

function endsLease(event: RuntimeEvent): boolean {
  const { type } = event;
  return type === "lease_lapsed" || type === "lease_fenced" || type === "lease_released";
}

function step(
  walk: Walk,
  event: RuntimeEvent,
  next: RuntimeEvent | undefined,
  after: RuntimeState,
): void {
  noteDrain(walk, event, after);
  noteTask(walk, event, after);
  if (event.type === "lease_granted") {
    const { executorId, incarnationId, generation, named } = event;
    if (!walk.holder) walk.runId = undefined;
    walk.holder = { executorId, incarnationId, generation, named };
    walk.former = null;
    if (!named) return;
    const { runtimeId, epochId } = after;
    const message = { type: "lease_granted", runtimeId, generation, epochId } as const;
    walk.notices.push({ to: walk.holder, message });
    return;
  }
  if (event.type === "run_started") walk.runId = event.runId;
  if (endsRunAtWill(event)) walk.runId = undefined;
  const reason = lossReason(event, next, walk.holder?.named === true);
  if (reason !== undefined) noteLoss(walk, reason, event.type === "lease_fenced", after);
  noteControl(walk, event, after);
  if (!endsLease(event)) return;
  walk.former = walk.holder ?? walk.former;
  walk.holder = null;
}

/** Steering inputs that wait while a run is in flight, if this commit admitted any. */
export function steerNotice(after: RuntimeState): ExecutorMessage | undefined {
  const count = after.steerLane.size;
  if (!after.run || count === 0) return undefined;
  const { runtimeId, run } = after;
  return { type: "steer_available", runtimeId, runId: run.runId, count };
}

/** What executors are told of a commit, in order; assignments are told on their own. */
export function noticesOf(commit: NoticedCommit): readonly Notice[] {
  const { events, before, after } = commit;
  const walk: Walk = {
    holder: before.lease,
    former: null,
    runId: before.run?.runId,
    drain: before.drain,
    endpoint: before.peerEndpoint,
    notices: [],
  };
  for (const [index, event] of events.entries()) step(walk, event, events[index + 1], after);
  const message = steerNotice(after);
  const admits = events.some((event) => event.type === "input_admitted");
  const hasMore = after.steerLane.size > before.steerLane.size || before.run === null;
  if (message && admits && hasMore && after.lease) walk.notices.push({ to: after.lease, message });
  return walk.notices;
}
