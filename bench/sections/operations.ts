/**
 * (g) A thousand background operations of one runtime that complete at once, each with somebody who
 * waits for it.
 */
import { OperationKind } from "../../gen/keelson/operation/v1/messages_pb.ts";
import type { BenchEnvironment } from "../support/environment.ts";
import { type BenchServer, startBenchServer } from "../support/servers.ts";
import { median, percentile } from "../support/stats.ts";

const OPERATIONS = 1_000;
const PATIENCE = { seconds: 60n };

/** What one round took, in milliseconds. */
interface Round {
  /** Until every call that completes is answered. */
  readonly completedMs: number;
  /** From the call that completes an operation to the answer of who waits for it. */
  readonly waitsMs: readonly number[];
}

async function playRound(server: BenchServer, runtimeId: string): Promise<Round> {
  const { operation: operations, operationWaiters: waiters } = server;
  await server.runtime.ensureRuntime({ runtimeId });
  const names = Array.from({ length: OPERATIONS }, (_, index) => `operation-${index}`);
  const kind = OperationKind.BACKGROUND_TOOL_OP;
  await Promise.all(
    names.map(async (operationId) => {
      const spec = { operationId, kind, displayName: operationId };
      await operations.registerOperation({ runtimeId, spec });
      await operations.markProvisioned({ runtimeId, operationId });
    }),
  );
  const startedMs = new Map<string, number>();
  const waiting = names.map(async (operationId, index) => {
    const request = { runtimeId, operationIds: [operationId], timeout: PATIENCE };
    const response = await waiters[index % waiters.length]?.waitAll(request);
    if (response?.allEnded !== true) throw new Error(`${operationId} did not end in time`);
    return performance.now() - (startedMs.get(operationId) ?? Number.NaN);
  });
  // Answered behind them on the same connections: the waits have arrived.
  await Promise.all(waiters.map((it) => it.listOperations({ runtimeId, pageSize: 1 })));
  const beganMs = performance.now();
  await Promise.all(
    names.map(async (operationId) => {
      startedMs.set(operationId, performance.now());
      await operations.completeOperation({ runtimeId, operationId, result: { content: "done" } });
    }),
  );
  const completedMs = performance.now() - beganMs;
  return { completedMs, waitsMs: await Promise.all(waiting) };
}

/** Runs the section. */
export async function benchOperations(environment: BenchEnvironment): Promise<void> {
  const { report, scale, unique, dataDirectory } = environment;
  const server = await startBenchServer("journal", `operations-${unique}`, dataDirectory);
  const rounds: Round[] = [];
  for (let round = 0; round < scale.rounds; round += 1) {
    rounds.push(await playRound(server, `owner-${round}`));
  }
  await server.stop();
  const section = "g";
  const waitsMs = rounds.flatMap((round) => round.waitsMs);
  const rates = rounds.map(({ completedMs }) => (OPERATIONS / completedMs) * 1_000);
  const name = "1,000 operations complete at once, 1,000 waiters";
  report.add({ section, name, value: median(rates), unit: "operations/s" });
  const told = "from CompleteOperation to the waiter's answer";
  report.add({ section, name: `${told}, p50`, value: percentile(waitsMs, 0.5), unit: "ms" });
  report.add({ section, name: `${told}, p99`, value: percentile(waitsMs, 0.99), unit: "ms" });
}
