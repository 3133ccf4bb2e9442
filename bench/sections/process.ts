/**
 * (j) Processes: durable AppendEvent on one process and over many, a page out of the middle of the
 * history that this makes, and how long the last of many callers of AwaitProcess waits for the end.
 */
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ProcessDisposition } from "../../gen/keelson/process/v1/messages_pb.ts";
import { ProcessRegistryService } from "../../gen/keelson/process/v1/service_pb.ts";
import type { BenchEnvironment } from "../support/environment.ts";
import { runRawLoad } from "../support/raw-http.ts";
import { type BenchServer, startBenchServer } from "../support/servers.ts";
import { median, percentile } from "../support/stats.ts";
import { ratePerSecond } from "./unary.ts";

const CONNECTIONS = 64;
const MANY = 1_000;
const WAITERS = 10_000;
const WAITING_CONNECTIONS = 20;
const READS = 50;
const PAGE_EVENTS = 100;
const APPEND_PATH = "/keelson.process.v1.ProcessRegistryService/AppendEvent";

type Processes = Client<typeof ProcessRegistryService>;

function clientOf({ url }: BenchServer): Processes {
  return createClient(ProcessRegistryService, createGrpcTransport({ baseUrl: url }));
}

async function register(processes: Processes, names: readonly string[]): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let processId = names[next++]; processId !== undefined; processId = names[next++]) {
      await processes.registerProcess({
        registration: {
          processId,
          input: { kind: { case: "external", value: {} } },
          eventTypes: [{ name: "progress" }],
          provenance: { originator: { case: "host", value: {} } },
          disposition: ProcessDisposition.EXTERNALLY_OWNED,
        },
      });
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
}

/** Events per second over processes, round robin; the middle round of several. */
async function appendRate(
  { port }: BenchServer,
  names: readonly string[],
  { rounds, roundMs }: BenchEnvironment["scale"],
): Promise<number> {
  const rates: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    let sent = 0;
    const result = await runRawLoad({
      port,
      path: APPEND_PATH,
      contentType: "application/json",
      connections: CONNECTIONS,
      durationMs: roundMs,
      nextBody: () => {
        const processId = names[sent % names.length] ?? "";
        sent += 1;
        const replayKey = `round-${round}-${sent}`;
        const payload = { done: sent, text: "a line of progress" };
        return JSON.stringify({ processId, eventType: "progress", replayKey, payload });
      },
    });
    rates.push(ratePerSecond(result));
  }
  return median(rates);
}

/** Milliseconds of pages out of the middle of a history. */
async function pageLatencies(processes: Processes, processId: string): Promise<readonly number[]> {
  const { lastSequence } = await processes.listEvents({ processId, pageSize: 1 });
  const latencies: number[] = [];
  for (let read = 0; read < READS; read += 1) {
    const afterSequence = (lastSequence * BigInt(read + 1)) / BigInt(READS + 2);
    const startedMs = performance.now();
    await processes.listEvents({ processId, afterSequence, pageSize: PAGE_EVENTS });
    latencies.push(performance.now() - startedMs);
  }
  return latencies;
}

/** Milliseconds from the end of a process until the last of its waiters was answered. */
async function lastWaiterMs(server: BenchServer, processes: Processes): Promise<number> {
  const processId = "awaited";
  await register(processes, [processId]);
  const clients = Array.from({ length: WAITING_CONNECTIONS }, () => clientOf(server));
  const share = WAITERS / WAITING_CONNECTIONS;
  const waiting = clients.flatMap((client) =>
    Array.from({ length: share }, () => client.awaitProcess({ processId })),
  );
  // The last one that was sent is in place when a later, short one has been answered.
  await Promise.all(clients.map((client) => client.awaitProcess({ processId, timeout: {} })));
  const startedMs = performance.now();
  const grantedTo = "bench";
  const authority = { authority: { case: "externalOwner", value: { grantedTo } } } as const;
  await processes.completeProcess({
    processId,
    output: { output: { case: "success", value: {} } },
    proof: { case: "authority", value: authority },
  });
  const answers = await Promise.all(waiting);
  const elapsedMs = performance.now() - startedMs;
  const ended = answers.filter(({ outcome }) => outcome.case === "ended").length;
  if (ended !== WAITERS) throw new Error(`${WAITERS - ended} waiters were not told`);
  return elapsedMs;
}

/** Runs the section. */
export async function benchProcesses(environment: BenchEnvironment): Promise<void> {
  const { report, scale, unique, dataDirectory } = environment;
  const server = await startBenchServer("journal", `process-${unique}`, dataDirectory);
  const processes = clientOf(server);
  const section = "j";
  const one = ["one"];
  const many = Array.from({ length: MANY }, (_, index) => `many-${index}`);
  await register(processes, [...one, ...many]);

  const oneRate = await appendRate(server, one, scale);
  const oneName = "AppendEvent on one process, 64 connections";
  report.add({ section, name: oneName, value: oneRate, unit: "events/s" });
  const manyRate = await appendRate(server, many, scale);
  const manyName = "AppendEvent over 1,000 processes, 64 connections";
  report.add({ section, name: manyName, value: manyRate, unit: "events/s" });

  const latencies = await pageLatencies(processes, "one");
  const pageName = "page of 100 out of the middle of that history, p99";
  report.add({ section, name: pageName, value: percentile(latencies, 0.99), unit: "ms" });

  const waitedMs = await lastWaiterMs(server, processes);
  const waitName = "end of a process to the last of 10,000 AwaitProcess";
  report.add({ section, name: waitName, value: waitedMs, unit: "ms" });
  await server.stop();
}
