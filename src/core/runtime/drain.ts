/**
 * Peer ingress and the drain: what clients and executors may say of it, and how it follows the
 * runtime. Every commit that moves the lease, the phase or the ingress ends with a look at the
 * table of desired modes: what is not wanted is aborted, what is wanted and not there is started.
 * A drain that was dismissed or aborted comes back with the next such change, not before; one that
 * failed, or whose executor went, comes back by itself after a pause. An active drain keeps its
 * mode and its executor.
 */
import type { DecideContext, Decision } from "../shared/aggregate.ts";
import type { RuntimeCommand, RuntimeReply } from "./commands.ts";
import type { Drain, DrainExitReason, DrainHost, DrainMode, PeerEndpoint } from "./drain-state.ts";
import { DESIRED_DRAIN_MODES } from "./drain-table.ts";
import { type Draft, openDraft } from "./draft.ts";
import type { RuntimeEvent, RuntimeEventType } from "./events.ts";
import { notRegistered, refused, refusedByTable } from "./refusals.ts";
import { backoffMs } from "./run-loss.ts";
import type { RuntimeState } from "./state.ts";
import { stateNameOf } from "./table.ts";

type CommandOf<Type extends RuntimeCommand["type"]> = Extract<
  RuntimeCommand,
  { readonly type: Type }
>;
type RuntimeDecision = Decision<RuntimeEvent, RuntimeReply>;

/** A drain that ran for so long before it failed begins with the shortest backoff again. */
const HEALTHY_MS = 60_000;
const BACKOFF = { retryBackoffInitialMs: 1_000, retryBackoffMaxMs: 60_000 };

/** Events after which a drain that is wanted and not there is started. */
const STARTING: ReadonlySet<RuntimeEventType> = new Set([
  "peer_ingress_updated",
  "runtime_configured",
  "lease_granted",
  "lease_released",
  "lease_lapsed",
  "lease_fenced",
  "runtime_recycled",
  "runtime_reset",
  "runtime_recovered",
]);

/** Events after which a drain may not be wanted any more; with the others nothing is looked at. */
const MOVING: ReadonlySet<RuntimeEventType> = new Set([
  ...STARTING,
  "runtime_unregistered",
  "runtime_retired",
  "runtime_stopped",
  "runtime_destroyed",
  "run_started",
  "run_completed",
  "run_failed",
  "run_cancelled",
  "run_returned",
]);

/** The drain that the runtime is to have; null when it is to have none. */
export function desiredDrainMode(state: RuntimeState): DrainMode | null {
  if (state.registration !== "registered" || state.peerEndpoint === null) return null;
  const keepAlive = state.config.keepAlive ? "kept_alive" : "not_kept_alive";
  const desired = DESIRED_DRAIN_MODES[stateNameOf(state)][keepAlive];
  return desired === "none" ? null : desired;
}

/** Whether a drain runs, or waits for an executor. */
export function isDrainActive({ phase }: Drain): boolean {
  return phase === "starting" || phase === "running";
}

/** Whether there is a drain to be ended: one that runs, or that waits, also to be tried again. */
export function canEndDrain(drain: Drain): boolean {
  return isDrainActive(drain) || drain.phase === "exited_respawnable";
}

/** Whether a drain waits for an executor, for the first time or again. */
export function isDrainWaiting(state: RuntimeState): boolean {
  const { phase } = state.drain;
  return phase === "starting" || phase === "exited_respawnable";
}

/** Whether the drain runs at this incarnation. */
export function hostsDrain(state: RuntimeState, host: DrainHost): boolean {
  const { host: present } = state.drain;
  return (
    present !== null &&
    present.incarnationId === host.incarnationId &&
    present.executorId === host.executorId
  );
}

/** Failures in a row once this drain has failed, too. */
function failuresAfter(drain: Drain, context: DecideContext): number {
  const wasHealthy = drain.phase === "running" && context.now - drain.since >= HEALTHY_MS;
  return wasHealthy ? 1 : drain.failures + 1;
}

/** Emits the end of the drain in flight; what nobody dismissed or aborted is started again. */
export function emitDrainExit(draft: Draft, reason: DrainExitReason, context: DecideContext): void {
  const { drain } = draft.state();
  const { sequence } = drain;
  const isFailed = reason === "failed";
  const comesBack = isFailed || reason === "session_shutdown";
  const failures = isFailed ? failuresAfter(drain, context) : 0;
  const pauseMs = comesBack ? backoffMs(BACKOFF, failures, context.random()) : 0;
  const notBefore = comesBack ? context.now + pauseMs : 0;
  const isRespawnable = isFailed && drain.mode === "persistent_host";
  draft.emit({ type: "drain_exited", sequence, reason, isRespawnable, failures, notBefore });
  if (comesBack && !isRespawnable) startDrain(draft);
}

function startDrain(draft: Draft): void {
  const state = draft.state();
  const mode = desiredDrainMode(state);
  if (mode === null || isDrainActive(state.drain)) return;
  draft.emit({ type: "drain_started", sequence: state.drain.sequence + 1, mode });
}

/** Emits the abort of a drain, also of one that waits to be tried again. */
function abortDrain(draft: Draft, reason: string | undefined): void {
  const { drain } = draft.state();
  if (!canEndDrain(drain)) return;
  const { sequence } = drain;
  const because = reason === undefined ? {} : { reason };
  draft.emit({ type: "drain_aborted", sequence, ...because });
}

/** Whether an executor that the drain runs at was cut off from the runtime by an operator. */
function isHostFenced(before: RuntimeState, events: readonly RuntimeEvent[]): boolean {
  const { lease } = before;
  if (lease === null || !hostsDrain(before, lease)) return false;
  return events.some((event) => event.type === "lease_fenced");
}

function isConfiguring({ type }: RuntimeEvent): boolean {
  return type === "peer_ingress_updated" || type === "runtime_configured";
}

/** The decision with what follows from it for the drain, in the same commit. */
export function withDrain(
  state: RuntimeState,
  decision: RuntimeDecision,
  context: DecideContext,
): RuntimeDecision {
  if (decision.kind !== "commit" || !decision.events.some(({ type }) => MOVING.has(type))) {
    return decision;
  }
  const { events } = decision;
  const concernsDrain = state.peerEndpoint !== null || state.drain.phase !== "inactive";
  if (!concernsDrain && events[0]?.type !== "peer_ingress_updated") return decision;
  const draft = openDraft(state, context);
  for (const event of events) draft.emit(event);
  if (isHostFenced(state, events)) abortDrain(draft, "the executor was fenced");
  const { phase } = draft.state().drain;
  // One that failed waits for its time and an executor, unless the ingress is said anew.
  const isHeldBack = phase === "exited_respawnable" && !events.some(isConfiguring);
  if (desiredDrainMode(draft.state()) === null) abortDrain(draft, "no drain is wanted any more");
  else if (!isHeldBack && events.some(({ type }) => STARTING.has(type))) startDrain(draft);
  return draft.commit();
}

function sameEndpoint(left: PeerEndpoint | null, right: PeerEndpoint | null): boolean {
  if (left === null || right === null) return left === right;
  return (
    left.peerName === right.peerName &&
    left.peerId === right.peerId &&
    left.address === right.address
  );
}

/** Decides update_peer_ingress; whether a drain is started is seen once the commit is complete. */
export function decideUpdatePeerIngress(
  state: RuntimeState,
  command: CommandOf<"update_peer_ingress">,
): RuntimeDecision {
  if (state.registration !== "registered") return refused(notRegistered(state));
  if (state.phase === "destroyed") return refused(refusedByTable(state, "RUNTIME_DESTROYED"));
  const { keepAlive, endpoint } = command;
  const isSame = keepAlive === state.config.keepAlive && sameEndpoint(endpoint, state.peerEndpoint);
  const isWaiting = state.drain.phase === "exited_respawnable";
  const isThere = isDrainActive(state.drain) || desiredDrainMode(state) === null;
  if (isSame && isThere && !isWaiting) {
    return { kind: "answer", reply: { type: "ingress_updated", spawned: false } };
  }
  const event: RuntimeEvent = {
    type: "peer_ingress_updated",
    keepAlive,
    ...(endpoint === null ? {} : { endpoint }),
  };
  return { kind: "commit", events: [event] };
}

/** Decides notify_drain_exited; a drain that is over, or another one, is left alone. */
export function decideDrainExited(
  state: RuntimeState,
  command: CommandOf<"notify_drain_exited">,
  context: DecideContext,
): RuntimeDecision {
  if (state.registration !== "registered") return refused(notRegistered(state));
  const { drain } = state;
  const isMeant = command.sequence === 0 || command.sequence === drain.sequence;
  if (!isMeant || !isDrainActive(drain)) {
    return { kind: "answer", reply: { type: "drain_ended", ended: false } };
  }
  const draft = openDraft(state, context);
  emitDrainExit(draft, command.reason, context);
  return draft.commit();
}

/** Decides abort_drain; without a drain, or with another one, nothing is to be done. */
export function decideAbortDrain(
  state: RuntimeState,
  command: CommandOf<"abort_drain">,
  context: DecideContext,
): RuntimeDecision {
  if (state.registration !== "registered") return refused(notRegistered(state));
  const { reason, sequence = state.drain.sequence } = command;
  if (sequence !== state.drain.sequence || !canEndDrain(state.drain)) {
    return { kind: "answer", reply: { type: "drain_ended", ended: false } };
  }
  const draft = openDraft(state, context);
  abortDrain(draft, reason);
  return draft.commit();
}

/** Whether this incarnation may have the drain: the holder of the lease before anybody else. */
function mayHost(state: RuntimeState, host: DrainHost): boolean {
  const { lease } = state;
  if (lease === null) return true;
  return lease.incarnationId === host.incarnationId && lease.executorId === host.executorId;
}

/** Decides host_drain: an executor takes the drain that waits for one. */
export function decideHostDrain(
  state: RuntimeState,
  command: CommandOf<"host_drain">,
  context: DecideContext,
): RuntimeDecision {
  const { executorId, incarnationId } = command;
  const mode = desiredDrainMode(state);
  const isDue = state.drain.notBefore <= context.now;
  if (mode === null || !isDrainWaiting(state) || !isDue || !mayHost(state, command)) {
    const hosted = hostsDrain(state, command);
    return { kind: "answer", reply: { type: "drain_hosted", hosted } };
  }
  const draft = openDraft(state, context);
  if (state.drain.phase === "exited_respawnable") {
    draft.emit({ type: "drain_started", sequence: state.drain.sequence + 1, mode });
  }
  const { sequence } = draft.state().drain;
  draft.emit({ type: "drain_spawned", sequence, executorId, incarnationId });
  return draft.commit();
}
