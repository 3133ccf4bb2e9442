/**
 * What the views, the dispatcher and the timers go by. A runtime whose lease is named is for its
 * holder alone; the summary says who that is, and since when there is work.
 */
import type { DrainSummary, StreamSummary } from "../shared/aggregate.ts";
import type { JsonObject } from "../shared/json.ts";
import { runnableSince } from "./batch.ts";
import { isDrainWaiting } from "./drain.ts";
import { liveCount } from "./lanes.ts";
import type { Lease, RuntimeState } from "./state.ts";
import { stateNameOf } from "./table.ts";

/** How long an executor has to acknowledge a run before it is taken back. */
export const ACKNOWLEDGE_TIMEOUT_MS = 10_000;

/** Heap bytes of an empty state and of what it holds, each near enough. */
const BYTES = { state: 4_096, live: 700, terminal: 1_400, receipt: 500, operation: 1_000 } as const;

/** An executor incarnation as one word; its components are percent-encoded. */
function holderName(lease: Pick<Lease, "executorId" | "incarnationId">): string {
  return `${encodeURIComponent(lease.executorId)}/${encodeURIComponent(lease.incarnationId)}`;
}

/** What lists of runtimes show without loading the stream. */
export function facts(state: RuntimeState): JsonObject {
  const { run, lease, lastExecutor, config, counts } = state;
  const { labels, ...settings } = config;
  return {
    runtimeId: state.runtimeId,
    registered: state.registration === "registered",
    phase: state.phase,
    epochId: state.epochId,
    silentIntents: state.silentIntents,
    createdAt: state.createdAt,
    updatedAt: state.updatedAt,
    generation: state.generation,
    wake: state.wake,
    queueDepth: state.queueLane.size,
    steerDepth: state.steerLane.size,
    counts: { ...counts },
    config: { labels, ...settings },
    run:
      run === null
        ? null
        : {
            runId: run.runId,
            generation: run.generation,
            attempt: run.attempt,
            startedAt: run.startedAt,
            acknowledged: run.acknowledged,
            contributors: run.contributors.length,
            interruptRequested: run.interruptedAt !== null,
          },
    peerEndpoint: state.peerEndpoint === null ? null : { ...state.peerEndpoint },
    sessionSnapshot: state.sessionSnapshot === null ? null : { ...state.sessionSnapshot },
    drain: { ...state.drain, host: state.drain.host === null ? null : { ...state.drain.host } },
    executor: lastExecutor === null ? null : { ...lastExecutor, attached: lease !== null },
  };
}

function drainOf(state: RuntimeState): DrainSummary | undefined {
  const { host } = state.drain;
  if (host !== null) return { state: "hosted", host: holderName(host) };
  return isDrainWaiting(state) ? { state: "waiting" } : undefined;
}

/** The summary of a runtime. */
export function summarize(state: RuntimeState): StreamSummary {
  const { registration, phase, run, lease, config } = state;
  const since = runnableSince(state);
  const isServed = registration === "registered" && (phase === "open" || phase === "retired");
  const drain = drainOf(state);
  const isUnacknowledged = run !== null && !run.acknowledged;
  return {
    state: registration === "unregistered" ? "unregistered" : stateNameOf(state),
    labels: config.labels,
    ...(isServed ? { pool: config.pool } : {}),
    ...(since === undefined ? {} : { runnableSince: since }),
    ...(isUnacknowledged ? { dueAt: run.startedAt + ACKNOWLEDGE_TIMEOUT_MS } : {}),
    ...(lease === null ? {} : { holder: holderName(lease) }),
    ...(drain === undefined ? {} : { drain }),
    gone: registration !== "registered" || phase === "destroyed",
  };
}

/** Heap bytes of a state, near enough for the cache. */
export function bytesOf(state: RuntimeState): number {
  const live = liveCount(state);
  return (
    BYTES.state +
    live * BYTES.live +
    (state.inputs.size - live) * BYTES.terminal +
    state.receipts.size * BYTES.receipt +
    state.operations.operations.size * BYTES.operation
  );
}
