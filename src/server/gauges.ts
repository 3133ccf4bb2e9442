/** What `/metrics` shows by looking at the parts of the server when it is asked. */
import type { Metrics } from "../observability/metrics.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { ByteBudget } from "./in-flight-budget.ts";
import type { Listener } from "./listener.ts";
import type { ServerState } from "./server-state.ts";

const MS_PER_SECOND = 1000;

/** Gauges of the outside; there from the first moment on. */
export function addListenerGauges(
  metrics: Metrics,
  listener: Listener,
  budget: ByteBudget,
  state: ServerState,
): void {
  const { gauge } = metrics;
  gauge("connections", "Open connections", listener.connectionCount);
  gauge("in_flight_request_bytes", "Bytes of requests in flight", budget.inFlightBytes);
  gauge("ready", "1 while the server should be sent calls", () => (state.isReady() ? 1 : 0));
}

/** Gauges of the inside; there once the database has answered. */
export function addControlPlaneGauges(metrics: Metrics, controlPlane: ControlPlane): void {
  const { gauge } = metrics;
  const { engine, dispatcher } = controlPlane;
  const { writer, views, cache, membership, time } = engine;
  gauge("journal_backlog_commits", "Commits not yet durable", () => writer.backlog().commits);
  gauge("journal_backlog_bytes", "Bytes of commits not yet durable", () => writer.backlog().bytes);
  gauge("view_backlog_streams", "Streams whose view is behind", views.size);
  gauge("view_backlog_age_seconds", "Age of the oldest commit not yet in the views", () => {
    const oldestMs = views.oldestMs();
    return oldestMs === undefined ? 0 : Math.max(0, time.nowMs() - oldestMs) / MS_PER_SECOND;
  });
  gauge("cache_bytes", "Bytes of loaded streams", () => cache.stats().bytes);
  gauge("cache_streams", "Loaded streams", () => cache.stats().streams);
  gauge("replicas", "Live replicas on this database", () => membership.live().length);
  gauge("database_reachable", "1 while the database answers", () =>
    membership.isReachable() ? 1 : 0,
  );
  gauge("executor_sessions", "Executors attached here", () => dispatcher.stats().sessions);
  gauge("executor_runs", "Runs held by executors attached here", () => dispatcher.stats().heldRuns);
  gauge("dispatch_queue_streams", "Runnable runtimes waiting here for an executor's slot", () => {
    return dispatcher.stats().queued;
  });
}
