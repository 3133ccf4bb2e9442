/**
 * (a) Durable unary Ingest at 64 connections, against the same server with the journal switched
 * off. Rounds alternate, so that both see the same noise of the machine.
 */
import { ensureRuntimes, type BenchEnvironment } from "../support/environment.ts";
import { makeJsonBodies, PATHS, runtimeIds } from "../support/inputs.ts";
import { runRawLoad, type RawResult } from "../support/raw-http.ts";
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

/** Runs the section. */
export async function benchUnary({ report, scale, unique, dataDirectory }: BenchEnvironment) {
  const journal = await startBenchServer("journal", `unary-${unique}`, dataDirectory);
  const off = await startBenchServer("journal-off", `unaryoff-${unique}`, dataDirectory);
  const runtimes = runtimeIds("unary", RUNTIMES);
  await ensureRuntimes(journal, runtimes, "nobody");
  await ensureRuntimes(off, runtimes, "nobody");
  await unaryRound(journal, runtimes, "warm", scale.roundMs / 2);
  await unaryRound(off, runtimes, "warm", scale.roundMs / 2);
  const rates: number[] = [];
  const offRates: number[] = [];
  const ratios: number[] = [];
  const costs: number[] = [];
  const offCosts: number[] = [];
  const latencies: number[] = [];
  let backlog = 0;
  for (let round = 0; round < scale.rounds; round += 1) {
    const load = (server: BenchServer) => unaryRound(server, runtimes, `r${round}`, scale.roundMs);
    const durable = await measured(journal, load);
    // Both servers are asked as often: an answer with all metrics costs some calls.
    const undurable = await measured(off, load);
    backlog = Math.max(backlog, durable.backlog);
    latencies.push(...durable.result.latenciesMs);
    rates.push(ratePerSecond(durable.result));
    offRates.push(ratePerSecond(undurable.result));
    ratios.push(ratePerSecond(durable.result) / ratePerSecond(undurable.result));
    costs.push(durable.busyUs);
    offCosts.push(undurable.busyUs);
  }
  const section = "a";
  report.add({ section, name: "durable Ingest, 64 connections", value: median(rates), unit: "/s" });
  report.add({ section, name: "the same, journal off", value: median(offRates), unit: "/s" });
  report.add({
    section,
    name: "ratio",
    value: median(ratios),
    unit: "of journal off",
    target: { atLeast: 0.8 },
  });
  report.add({ section, name: "processor time of the server", value: median(costs), unit: "us" });
  report.add({ section, name: "the same, journal off", value: median(offCosts), unit: "us" });
  report.add({ section, name: "p50", value: percentile(latencies, 0.5), unit: "ms" });
  report.add({ section, name: "p99", value: percentile(latencies, 0.99), unit: "ms" });
  report.add({ section, name: "view backlog at full load", value: backlog, unit: "streams" });
  await journal.stop();
  await off.stop();
}
