/**
 * (a) Durable unary Ingest at 64 connections, against the same server with the journal switched
 * off: as JSON over HTTP/1.1, and over gRPC. Rounds alternate, so that both see the same noise of
 * the machine.
 */
import { ensureRuntimes, type BenchEnvironment } from "../support/environment.ts";
import { makeJsonBodies, makeMessages, PATHS, runtimeIds } from "../support/inputs.ts";
import { runGrpcLoad } from "../support/raw-grpc.ts";
import { runRawLoad, type RawResult } from "../support/raw-http.ts";
import type { Figure } from "../support/report.ts";
import { type BenchServer, startBenchServer } from "../support/servers.ts";
import { median, percentile } from "../support/stats.ts";

const CONNECTIONS = 64;
const RUNTIMES = 256;
const LOOK_MS = 250;

/** One round of unary ingests at 64 connections. */
export function unaryRound(
  server: BenchServer,
  runtimes: readonly string[],
  keyPrefix: string,
  durationMs: number,
): Promise<RawResult> {
  return runRawLoad({
    port: server.port,
    path: PATHS.ingest,
    contentType: "application/json",
    connections: CONNECTIONS,
    durationMs,
    nextBody: makeJsonBodies(runtimes, keyPrefix),
  });
}

/** Requests per second of a round; a round with failures counts for nothing. */
export function ratePerSecond({ requests, failures, elapsedMs }: RawResult): number {
  if (failures > 0) throw new Error(`${failures} of ${requests} requests failed`);
  return (requests / elapsedMs) * 1000;
}

/** The most streams whose view was behind while a load ran. */
async function highestBacklog(server: BenchServer, load: Promise<unknown>): Promise<number> {
  let highest = 0;
  const over = load.then(() => true);
  const later = (): Promise<boolean> =>
    new Promise((resolve) => setTimeout(() => resolve(false), LOOK_MS));
  while (!(await Promise.race([over, later()]))) {
    highest = Math.max(highest, await server.metric("keelson_view_backlog_streams"));
  }
  return highest;
}

/** Puts a load on a server and watches what it costs. */
async function measured(
  server: BenchServer,
  load: (server: BenchServer) => Promise<RawResult>,
): Promise<{
  readonly result: RawResult;
  readonly backlog: number;
  /** Processor time of the server for a call, collector included, in microseconds. */
  readonly busyUs: number;
}> {
  const before = await server.metric("process_cpu_seconds_total");
  const loading = load(server);
  const backlog = await highestBacklog(server, loading);
  const result = await loading;
  const busySeconds = (await server.metric("process_cpu_seconds_total")) - before;
  return { result, backlog, busyUs: (busySeconds * 1e6) / result.requests };
}

/** One round of unary ingests over gRPC, as generated stubs send them. */
function grpcRound(
  server: BenchServer,
  runtimes: readonly string[],
  keyPrefix: string,
  durationMs: number,
): Promise<RawResult> {
  return runGrpcLoad({
    port: server.port,
    path: PATHS.ingest,
    connections: CONNECTIONS,
    durationMs,
    nextMessage: makeMessages(runtimes, keyPrefix),
  });
}

/** Medians of the alternating rounds of two servers. */
interface Compared {
  readonly rate: number;
  readonly offRate: number;
  readonly ratio: number;
  readonly busyUs: number;
  readonly offBusyUs: number;
  readonly latenciesMs: readonly number[];
  readonly backlog: number;
}

async function compared(
  journal: BenchServer,
  off: BenchServer,
  rounds: number,
  loadOf: (round: number) => (server: BenchServer) => Promise<RawResult>,
): Promise<Compared> {
  const durable: Awaited<ReturnType<typeof measured>>[] = [];
  const undurable: typeof durable = [];
  for (let round = 0; round < rounds; round += 1) {
    durable.push(await measured(journal, loadOf(round)));
    // Both servers are asked as often: an answer with all metrics costs some calls.
    undurable.push(await measured(off, loadOf(round)));
  }
  const rates = durable.map(({ result }) => ratePerSecond(result));
  const offRates = undurable.map(({ result }) => ratePerSecond(result));
  return {
    rate: median(rates),
    offRate: median(offRates),
    ratio: median(rates.map((rate, round) => rate / (offRates[round] ?? Number.NaN))),
    busyUs: median(durable.map(({ busyUs }) => busyUs)),
    offBusyUs: median(undurable.map(({ busyUs }) => busyUs)),
    latenciesMs: durable.flatMap(({ result }) => result.latenciesMs),
    backlog: Math.max(...durable.map(({ backlog }) => backlog)),
  };
}

/** Runs the section. */
export async function benchUnary({ report, scale, unique, dataDirectory }: BenchEnvironment) {
  const { rounds, roundMs } = scale;
  const journal = await startBenchServer("journal", `unary-${unique}`, dataDirectory);
  const off = await startBenchServer("journal-off", `unaryoff-${unique}`, dataDirectory);
  const runtimes = runtimeIds("unary", RUNTIMES);
  for (const server of [journal, off]) {
    await ensureRuntimes(server, runtimes, "nobody");
    await unaryRound(server, runtimes, "warm", roundMs / 2);
    await grpcRound(server, runtimes, "warm-grpc", roundMs / 2);
  }
  const json = await compared(
    journal,
    off,
    rounds,
    (round) => (server) => unaryRound(server, runtimes, `r${round}`, roundMs),
  );
  const grpc = await compared(
    journal,
    off,
    rounds,
    (round) => (server) => grpcRound(server, runtimes, `g${round}`, roundMs),
  );
  const section = "a";
  const add = (name: string, value: number, unit: string, target?: Figure["target"]): void =>
    report.add({ section, name, value, unit, ...(target ? { target } : {}) });
  add("durable Ingest, 64 connections", json.rate, "/s");
  add("the same, journal off", json.offRate, "/s");
  add("ratio", json.ratio, "of journal off", { atLeast: 0.8 });
  add("processor time of the server", json.busyUs, "us");
  add("the same, journal off", json.offBusyUs, "us");
  add("p50", percentile(json.latenciesMs, 0.5), "ms");
  add("p99", percentile(json.latenciesMs, 0.99), "ms");
  add("durable Ingest over gRPC, 64 connections", grpc.rate, "/s");
  add("the same, journal off", grpc.offRate, "/s");
  add("ratio over gRPC", grpc.ratio, "of journal off");
  add("processor time of the server over gRPC", grpc.busyUs, "us");
  add("p99 over gRPC", percentile(grpc.latenciesMs, 0.99), "ms");
  add("view backlog at full load", Math.max(json.backlog, grpc.backlog), "streams");
  await journal.stop();
  await off.stop();
}
