/**
 * (b) Durable IngestStream and IngestBatch against raw inserts of the very commits that they made,
 * into a collection of the same kind with the same durability. Many short rounds, each compared
 * with the raw inserts right after it, so that both see the same noise of the machine.
 */
import { runtimeAggregate } from "../../src/core/runtime/aggregate.ts";
import type { StoredCommit } from "../../src/engine/ports.ts";
import { streamName } from "../../src/engine/stream-name.ts";
import { openMongoStorage } from "../../src/storage/mongo/storage.ts";
import { ensureRuntimes, type BenchEnvironment } from "../support/environment.ts";
import { batchBody, PATHS, runtimeIds, streamMessages } from "../support/inputs.ts";
import { runRawLoad } from "../support/raw-http.ts";
import { runStreamLoad } from "../support/raw-stream.ts";
import { startBenchServer } from "../support/servers.ts";
import { median } from "../support/stats.ts";

const STREAMS = 4;
const RUNTIMES = 4000;
const SHARES = 4;
const BATCH = 1000;
const BATCH_CONNECTIONS = 4;
const RAW_BATCH = 200;
const RAW_WRITERS = 3;

async function open(uri: string, databaseName: string) {
  return await openMongoStorage({
    uri,
    databaseName,
    recordClasses: runtimeAggregate.recordClasses,
    appName: "keelson-bench",
    operationTimeoutMs: 20_000,
    serverSelectionTimeoutMs: 2000,
    poolSizeMax: 8,
  });
}

type BenchStorage = Awaited<ReturnType<typeof open>>;

/** All commits of the runtimes after their registration. */
async function commitsOf(storage: BenchStorage, runtimes: readonly string[]) {
  const commits: StoredCommit[] = [];
  for (const runtimeId of runtimes) {
    const stream = streamName("runtime", "default", runtimeId);
    for (let revision = 1; ; ) {
      const page = await storage.journal.readAfter([{ stream, revision }]);
      commits.push(...page.commits);
      revision = page.commits[page.commits.length - 1]?.revision ?? revision;
      if (page.complete) break;
    }
  }
  return commits;
}

/** Milliseconds that raw inserts of the commits take. */
async function rawInsertMs(storage: BenchStorage, commits: readonly StoredCommit[]) {
  let next = 0;
  const startedMs = performance.now();
  const write = async (): Promise<void> => {
    while (next < commits.length) {
      const start = next;
      next += RAW_BATCH;
      const outcomes = await storage.journal.append(
        commits.slice(start, start + RAW_BATCH),
        20_000,
      );
      if (outcomes.some((outcome) => outcome !== "stored")) throw new Error("a raw insert failed");
    }
  };
  await Promise.all(Array.from({ length: RAW_WRITERS }, write));
  return performance.now() - startedMs;
}

/** The runtimes of one batch: batches in flight at once do not share any. */
function shareOf(runtimes: readonly string[], share: number): readonly string[] {
  const size = runtimes.length / SHARES;
  return runtimes.slice(share * size, (share + 1) * size);
}

/** What a round took in, and how long that took. */
interface Load {
  readonly inputs: number;
  readonly elapsedMs: number;
}

/** Figures of the rounds, by way of ingest. */
type Samples = Readonly<Record<"stream" | "batch", number[]>>;

/** Runs the section; `uri` is the embedded database's. */
export async function benchBulk(environment: BenchEnvironment, uri: string): Promise<void> {
  const { report, scale, unique, dataDirectory } = environment;
  const databaseName = `bulk-${unique}`;
  const server = await startBenchServer("journal", databaseName, dataDirectory);
  const stored = await open(uri, databaseName);
  const section = "b";
  const rates: Samples = { stream: [], batch: [] };
  const ratios: Samples = { stream: [], batch: [] };

  async function streamRound(round: number, runtimes: readonly string[]): Promise<Load> {
    const perStream = Math.floor(scale.streamInputs / STREAMS);
    const share = runtimes.length / STREAMS;
    const streams = Array.from({ length: STREAMS }, (_, index) =>
      streamMessages(
        runtimes.slice(index * share, (index + 1) * share),
        `s${round}-${index}`,
        perStream,
      ),
    );
    const { responses, elapsedMs } = await runStreamLoad({
      port: server.port,
      path: PATHS.ingestStream,
      streams,
    });
    if (responses !== perStream * STREAMS) throw new Error(`${responses} responses`);
    return { inputs: responses, elapsedMs };
  }

  async function batchRound(round: number, runtimes: readonly string[]): Promise<Load> {
    const bodies = Array.from({ length: Math.floor(scale.streamInputs / BATCH) }, (_, index) =>
      batchBody(shareOf(runtimes, index % SHARES), `b${round}-${index}`, BATCH),
    );
    const { requests, failures, elapsedMs } = await runRawLoad({
      port: server.port,
      path: PATHS.ingestBatch,
      contentType: "application/proto",
      connections: BATCH_CONNECTIONS,
      durationMs: 120_000,
      nextBody: () => bodies.pop(),
    });
    if (failures > 0) throw new Error(`${failures} batches failed`);
    return { inputs: requests * BATCH, elapsedMs };
  }

  // Round 0 warms both sides up.
  for (let round = 0; round <= scale.rounds; round += 1) {
    for (const kind of ["stream", "batch"] as const) {
      const runtimes = runtimeIds(`${kind}${round}`, RUNTIMES);
      await ensureRuntimes(server, runtimes, "nobody");
      const run = kind === "stream" ? streamRound : batchRound;
      const { inputs, elapsedMs } = await run(round, runtimes);
      const raw = await open(uri, `raw-${unique}-${kind}${round}`);
      const rawMs = await rawInsertMs(raw, await commitsOf(stored, runtimes));
      await raw.close();
      if (round === 0) continue;
      rates[kind].push((inputs / elapsedMs) * 1000);
      ratios[kind].push(rawMs / elapsedMs);
    }
  }
  for (const kind of ["stream", "batch"] as const) {
    const name = kind === "stream" ? "IngestStream" : "IngestBatch";
    report.add({ section, name: `durable ${name}`, value: median(rates[kind]), unit: "inputs/s" });
    report.add({
      section,
      name: `${name} against raw inserts of its commits`,
      value: median(ratios[kind]),
      unit: "of raw",
      target: { atLeast: 0.35 },
    });
    const unary = report.valueOf("a", "durable Ingest, 64 connections");
    if (Number.isNaN(unary)) continue;
    report.add({
      section,
      name: `${name} against unary Ingest`,
      value: median(rates[kind]) / unary,
      unit: "times (a)",
      target: { atLeast: 3 },
    });
  }
  await stored.close();
  await server.stop();
}
