// Two replicas on one database, four process workers, six clients, two watchers, and twenty
// faults: no event is lost, no hold is shared, no grant goes astray, every wake comes once.
//
// KEELSON_FAULT_SEED chooses the order of events, KEELSON_FAULT_ROUNDS (1) how long it lasts.
import { expect, test } from "vitest";
import { startCluster } from "./support/cluster.ts";
import type { FaultPlan } from "./support/faults.ts";
import { checkProcesses } from "./support/process-checker.ts";
import { sufferProcessRun } from "./support/process-run.ts";
import { processSummaryOf } from "./support/process-summary.ts";

const SEED = Number(process.env["KEELSON_FAULT_SEED"] ?? 1);
const ROUNDS = Number(process.env["KEELSON_FAULT_ROUNDS"] ?? 1);

const FAULTS: FaultPlan = {
  replica_killed: 4 * ROUNDS,
  replica_paused: 3 * ROUNDS,
  replica_drained: 1 * ROUNDS,
  database_killed: 3 * ROUNDS,
  database_paused: 1 * ROUNDS,
  executor_killed: 5 * ROUNDS,
  executor_paused: 3 * ROUNDS,
};

test("no promise about processes is broken over twenty faults", async () => {
  const cluster = await startCluster({ replicas: ["replica-a", "replica-b"] });
  let isSound = false;
  try {
    const run = await sufferProcessRun(cluster, { seed: SEED, faults: FAULTS });
    process.stdout.write(`${processSummaryOf(run, SEED)}\n`);
    expect(run.failedWorkers).toEqual([]);
    expect(checkProcesses(run.history)).toEqual([]);
    isSound = true;
  } finally {
    if (!isSound) process.stdout.write(`files are kept in ${cluster.directory}\n`);
    await cluster.dispose(!isSound);
  }
});
