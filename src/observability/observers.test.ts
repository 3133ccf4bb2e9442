import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { streamNameOf } from "../core/shared/ids.ts";
import { makeEngineObserver } from "./engine-observer.ts";
import { makeLogger } from "./logger.ts";
import { makeMetrics } from "./metrics.ts";
import { type CallFacts, makeCallObserver } from "./rpc-observer.ts";

const CALL: CallFacts = {
  service: "keelson.runtime.v1.RuntimeControlPlaneService",
  method: "Retire",
  code: "ok",
  reason: "",
  durationMs: 12.34567,
  changesState: true,
  namespace: "default",
  runtimeId: "agent-1",
  revision: "7",
  traceParent: "",
};

/** A logger whose lines can be looked at. */
function recordedLogger(level: string) {
  const lines: Record<string, unknown>[] = [];
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
      done();
    },
  });
  return { logger: makeLogger({ level, format: "json", destination }), lines };
}

describe("observer of calls", () => {
  it("logs a call that changes state once, with its facts", () => {
    const { logger, lines } = recordedLogger("info");
    makeCallObserver(makeMetrics(), logger).rpcFinished(CALL);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      level: "info",
      method: "keelson.runtime.v1.RuntimeControlPlaneService/Retire",
      service: "keelson",
      runtimeId: "agent-1",
      durationMs: 12.346,
    });
  });

  it("keeps reads and the calls of every input out of the log", () => {
    const { logger, lines } = recordedLogger("info");
    const observer = makeCallObserver(makeMetrics(), logger);
    observer.rpcFinished({ ...CALL, method: "GetRuntime", changesState: false });
    observer.rpcFinished({ ...CALL, method: "Ingest" });
    observer.rpcFinished({ ...CALL, service: "grpc.health.v1.Health", method: "Check" });
    expect(lines).toEqual([]);
  });

  it("logs the cause of a call that failed inside as an error", () => {
    const { logger, lines } = recordedLogger("info");
    const bug = new TypeError("x is not a function");
    makeCallObserver(makeMetrics(), logger).rpcFinished({ ...CALL, code: "internal", bug });
    expect(lines[0]).toMatchObject({ level: "error", err: { message: "x is not a function" } });
  });

  it("counts calls by method, code and reason", async () => {
    const { logger } = recordedLogger("silent");
    const metrics = makeMetrics();
    const observer = makeCallObserver(metrics, logger);
    observer.rpcFinished(CALL);
    observer.rpcFinished({ ...CALL, code: "aborted", reason: "CONFLICT" });
    observer.turnedAway(CALL.service, CALL.method, "unavailable", "SERVER_DRAINING");
    const text = await metrics.text();
    const method = `method="${CALL.service}/Retire"`;
    expect(text).toContain(`keelson_rpcs_total{${method},code="ok",reason=""} 1`);
    expect(text).toContain(`keelson_rpcs_total{${method},code="aborted",reason="CONFLICT"} 1`);
    expect(text).toContain(
      `keelson_rpcs_total{${method},code="unavailable",reason="SERVER_DRAINING"} 1`,
    );
    expect(text).toContain(`keelson_rpc_duration_seconds_count{${method}} 2`);
  });
});

describe("observer of the engine", () => {
  it("counts what happens", async () => {
    const { logger, lines } = recordedLogger("info");
    const metrics = makeMetrics();
    const observer = makeEngineObserver(metrics, logger);
    const stream = streamNameOf("runtime/default/agent-1");
    observer.batchStored(3, 1200, 5);
    observer.batchRetried(3, 1, new Error("away"));
    observer.conflict(stream);
    observer.streamRepaired(stream);
    observer.streamBroken(stream, new Error("gap"));
    observer.backgroundFailed("heartbeat", new Error("away"));
    observer.checkpointStored(stream, 10, 900);
    observer.streamLoaded(stream, 4, 2);
    const text = await metrics.text();
    for (const line of [
      "keelson_commit_batch_commits_sum 3",
      "keelson_commit_batch_bytes_total 1200",
      "keelson_commit_batch_retries_total 1",
      "keelson_commit_conflicts_total 1",
      "keelson_streams_repaired_total 1",
      "keelson_streams_broken_total 1",
      'keelson_background_failures_total{task="heartbeat"} 1',
      "keelson_checkpoint_bytes_total 900",
      "keelson_stream_load_commits_sum 4",
    ]) {
      expect(text).toContain(line);
    }
    expect(text).toContain("nodejs_eventloop_lag_p99_seconds");
    expect(lines.map(({ level }) => level)).toEqual(["warn", "info", "error", "warn"]);
  });
});
