// Two replicas on one database, four executors, eight clients, four watchers, and at least thirty
// faults: nothing acknowledged is lost, nothing happens twice, everything ends.
//
// KEELSON_FAULT_SEED chooses the order of events, KEELSON_FAULT_ROUNDS (1) how long it lasts.
import { expect, test } from "vitest";
import { checkHistory } from "./support/checker.ts";
import { startCluster } from "./support/cluster.ts";
import type { FaultPlan } from "./support/faults.ts";
import { sufferLongRun } from "./support/long-run.ts";
import { summaryOf } from "./support/summary.ts";

const SEED = Number(process.env["KEELSON_FAULT_SEED"] ?? 1);
const ROUNDS = Number(process.env["KEELSON_FAULT_ROUNDS"] ?? 1);

const FAULTS: FaultPlan = {
  replica_killed: 7 * ROUNDS,
  replica_paused: 5 * ROUNDS,
  replica_drained: 3 * ROUNDS,
  database_killed: 6 * ROUNDS,
  database_paused: 3 * ROUNDS,
  executor_killed: 7 * ROUNDS,
  executor_paused: 5 * ROUNDS,
};

test("no promise is broken over thirty-six faults", async () => {
  const cluster = await startCluster({ replicas: ["replica-a", "replica-b"] });
  let isSound = false;
  try {
    const run = await sufferLongRun(cluster, { seed: SEED, faults: FAULTS });
    process.stdout.write(`${summaryOf(run, SEED)}\n`);
    expect(run.failedExecutors).toEqual([]);
    expect(checkHistory(run.history)).toEqual([]);
    isSound = true;
  } finally {
    if (!isSound) process.stdout.write(`files are kept in ${cluster.directory}\n`);
    await cluster.dispose(!isSound);
  }
});
