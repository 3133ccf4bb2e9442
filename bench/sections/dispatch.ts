/**
 * (c) Ingest to run_assigned at a light load, at one replica and across two. (d) Full cycles:
 * ingest, run, boundary, complete.
 */
import { randomUUID } from "node:crypto";
import type { AttachResponse } from "../../gen/keelson/executor/v1/service_pb.ts";
import { RunApplyBoundary } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { ensureRuntimes, type BenchEnvironment } from "../support/environment.ts";
import { makeJsonBodies, PATHS, PROMPT_TEXT, runtimeIds } from "../support/inputs.ts";
import { runRawLoad } from "../support/raw-http.ts";
import { type BenchServer, startBenchServer } from "../support/servers.ts";
import { percentile } from "../support/stats.ts";

const LIGHT_RUNTIMES = 50;
const LIGHT_PAUSE_MS = 10;
const CYCLE_RUNTIMES = 200;
const CYCLE_CONNECTIONS = 16;

/** An executor that completes every run at once. */
interface InstantExecutor {
  readonly completed: () => number;
  readonly stop: () => Promise<void>;
}

async function attach(
  server: BenchServer,
  pool: string,
  slots: number,
  onAssigned: (runtimeId: string) => void,
  withBoundary: boolean,
): Promise<InstantExecutor> {
  const identity = { executorId: `bench-${pool}`, incarnationId: randomUUID() };
  const ending = new AbortController();
  let completed = 0;
  const ready = Promise.withResolvers<void>();

  async function run(message: AttachResponse["message"]): Promise<void> {
    if (message.case !== "runAssigned") return;
    const { runtimeId, runId, generation, primitive } = message.value;
    onAssigned(runtimeId);
    const contributingInputIds = primitive?.contributingInputIds ?? [];
    const boundary = RunApplyBoundary.RUN_START;
    const reference = { runtimeId, runId, generation };
    if (withBoundary) {
      await server.executor.commitBoundary({ ...reference, boundary, contributingInputIds });
      await server.executor.completeRun(reference);
    } else {
      const finalBoundary = { boundary, contributingInputIds };
      await server.executor.completeRun({ ...reference, finalBoundary });
    }
    completed += 1;
  }

  async function listen(): Promise<void> {
    const stream = server.executor.attach({ ...identity, pool, slots }, { signal: ending.signal });
    for await (const { message } of stream) {
      ready.resolve();
      void run(message);
    }
  }

  const listening = listen().catch((error: unknown) => {
    if (!ending.signal.aborted) throw error;
  });
  await ready.promise;
  return {
    completed: () => completed,
    stop: async () => {
      await server.executor.detach(identity);
      ending.abort();
      await listening;
    },
  };
}

async function latencies(
  ingestAt: BenchServer,
  executeAt: BenchServer,
  pool: string,
  samples: number,
): Promise<readonly number[]> {
  const sentMs = new Map<string, number>();
  const taken: number[] = [];
  const executor = await attach(
    executeAt,
    pool,
    LIGHT_RUNTIMES,
    (runtimeId) => taken.push(performance.now() - (sentMs.get(runtimeId) ?? Number.NaN)),
    false,
  );
  const runtimes = runtimeIds(pool, LIGHT_RUNTIMES);
  await ensureRuntimes(ingestAt, runtimes, pool);
  for (let sample = 0; sample < samples; sample += 1) {
    const runtimeId = runtimes[sample % runtimes.length] ?? "";
    sentMs.set(runtimeId, performance.now());
    const kind = { case: "prompt" as const, value: { text: PROMPT_TEXT } };
    await ingestAt.runtime.ingest({ runtimeId, input: { kind } });
    await new Promise((resolve) => setTimeout(resolve, LIGHT_PAUSE_MS));
  }
  const deadlineMs = performance.now() + 10_000;
  while (taken.length < samples && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, LIGHT_PAUSE_MS));
  }
  await executor.stop();
  if (taken.length < samples) throw new Error(`${taken.length} of ${samples} runs were assigned`);
  return taken;
}

/** Runs both sections. */
export async function benchDispatch(environment: BenchEnvironment): Promise<void> {
  const { report, scale, unique, dataDirectory } = environment;
  const first = await startBenchServer("journal", `dispatch-${unique}`, dataDirectory);
  const samples = scale.latencySamples;
  const alone = await latencies(first, first, "alone", samples);
  report.add({
    section: "c",
    name: "to run_assigned, p50",
    value: percentile(alone, 0.5),
    unit: "ms",
  });
  report.add({
    section: "c",
    name: "to run_assigned, p99",
    value: percentile(alone, 0.99),
    unit: "ms",
  });

  const executor = await attach(first, "cycles", 256, () => undefined, true);
  const runtimes = runtimeIds("cycle", CYCLE_RUNTIMES);
  await ensureRuntimes(first, runtimes, "cycles");
  const startedMs = performance.now();
  const { requests } = await runRawLoad({
    port: first.port,
    path: PATHS.ingest,
    contentType: "application/json",
    connections: CYCLE_CONNECTIONS,
    durationMs: scale.roundMs,
    nextBody: makeJsonBodies(runtimes, "cycle"),
  });
  while (executor.completed() < requests && performance.now() - startedMs < 120_000) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const rate = (executor.completed() / (performance.now() - startedMs)) * 1000;
  report.add({ section: "d", name: "full cycles (prompts, one a run)", value: rate, unit: "/s" });
  await executor.stop();

  const second = await startBenchServer("journal", `dispatch-${unique}`, dataDirectory);
  await new Promise((resolve) => setTimeout(resolve, 2500));
  const across = await latencies(first, second, "across", samples);
  report.add({
    section: "c",
    name: "across replicas, p50",
    value: percentile(across, 0.5),
    unit: "ms",
  });
  report.add({
    section: "c",
    name: "across replicas, p99",
    value: percentile(across, 0.99),
    unit: "ms",
  });
  await second.stop();
  await first.stop();
}
