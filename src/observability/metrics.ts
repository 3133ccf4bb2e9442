/** Everything that is measured, with names and units as they appear at `/metrics`. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

const FAST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** Reads the value of a gauge at the moment it is asked for. */
export type GaugeReader = () => number;

/** The metrics of one server. */
export interface Metrics {
  /** The text that `/metrics` answers. */
  readonly text: () => Promise<string>;
  /** Content type of that text. */
  readonly contentType: string;
  /** Adds a gauge that is read when it is asked for. */
  readonly gauge: (name: string, help: string, read: GaugeReader) => void;
  readonly rpcs: Counter<"method" | "code" | "reason">;
  readonly rpcSeconds: Histogram<"method">;
  readonly batchCommits: Histogram;
  readonly batchBytes: Counter;
  readonly batchSeconds: Histogram;
  readonly batchRetries: Counter;
  readonly conflicts: Counter;
  readonly brokenStreams: Counter;
  readonly repairedStreams: Counter;
  readonly backgroundFailures: Counter<"task">;
  readonly checkpoints: Counter;
  readonly checkpointBytes: Counter;
  readonly loadSeconds: Histogram;
  readonly loadCommits: Histogram;
  readonly dispatchSeconds: Histogram;
  readonly databaseRestarts: Counter;
  readonly refusedConnections: Counter<"cause">;
}

/** Makes the metrics of a server, with those of the process and its event loop. */
export function makeMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];

  function counter<Label extends string = never>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ): Counter<Label> {
    return new Counter({ name: `keelson_${name}_total`, help, labelNames, registers });
  }

  function histogram<Label extends string = never>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: readonly Label[] = [],
  ): Histogram<Label> {
    return new Histogram({
      name: `keelson_${name}`,
      help,
      labelNames,
      registers,
      buckets: [...buckets],
    });
  }

  return {
    text: () => registry.metrics(),
    contentType: registry.contentType,
    gauge: (name, help, read) => {
      new Gauge({
        name: `keelson_${name}`,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
    rpcs: counter("rpcs", "Answered calls", ["method", "code", "reason"]),
    rpcSeconds: histogram("rpc_duration_seconds", "Time to answer a call", FAST_SECONDS, [
      "method",
    ]),
    batchCommits: histogram("commit_batch_commits", "Commits per write to the journal", COUNTS),
    batchBytes: counter("commit_batch_bytes", "Bytes of commits written to the journal"),
    batchSeconds: histogram(
      "commit_batch_duration_seconds",
      "Time until a write to the journal is durable",
      FAST_SECONDS,
    ),
    batchRetries: counter("commit_batch_retries", "Writes to the journal that were sent again"),
    conflicts: counter("commit_conflicts", "Revisions that another replica took first"),
    brokenStreams: counter("streams_broken", "Streams refused from then on"),
    repairedStreams: counter("streams_repaired", "Streams whose view had to be written again"),
    backgroundFailures: counter("background_failures", "Background work that failed once", [
      "task",
    ]),
    checkpoints: counter("checkpoints", "Checkpoints stored"),
    checkpointBytes: counter("checkpoint_bytes", "Bytes of checkpoints stored"),
    loadSeconds: histogram("stream_load_duration_seconds", "Time to load a stream", FAST_SECONDS),
    loadCommits: histogram("stream_load_commits", "Commits read to load a stream", COUNTS),
    dispatchSeconds: histogram(
      "dispatch_wait_seconds",
      "Time from runnable to assigned, of runtimes with an executor",
      FAST_SECONDS,
    ),
    databaseRestarts: counter("embedded_restarts", "Restarts of the embedded database"),
    refusedConnections: counter("connections_refused", "Connections closed unserved", ["cause"]),
  };
}
