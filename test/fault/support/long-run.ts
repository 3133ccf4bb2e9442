// The long run of the fault suite: clients, watchers and executors work while processes are killed
// and paused; then everything is mended, all work is brought to its end, and the whole history is
// handed to the checker.
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  awaitLoad,
  batchLoad,
  cancellingLoad,
  type ClientLoad,
  ingest,
  operatorLoad,
  planInput,
  unaryLoad,
} from "./client-loads.ts";
import { type FaultClient, makeFaultClient, type Scene } from "./client.ts";
import type { Cluster } from "./cluster.ts";
import { collectRuntime } from "./collector.ts";
import { type FaultKind, type FaultPlan, orderFaults, sufferFaults } from "./faults.ts";
import { makeHistoryRecorder } from "./history-recorder.ts";
import type { FinalRuntime, RecordedHistory } from "./history.ts";
import { textFor } from "./made-inputs.ts";
import { streamLoad } from "./stream-load.ts";
import { eventually } from "./waiting.ts";
import { startWatcher, type Watcher } from "./watcher.ts";

/** What a long run is. */
export interface LongRunOptions {
  readonly seed: number;
  readonly faults: FaultPlan;
}

/** What came of a long run. */
export interface LongRun {
  readonly history: RecordedHistory;
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly faultsMs: number;
  readonly healingMs: number;
  /** Executors that ended by themselves: they were refused something they should not be. */
  readonly failedExecutors: readonly string[];
}

const POOL = "fault";
const LEASE_TTL_MS = 2_000;
const LONG_PAUSE_MS = 4_500;
const SHORT_PAUSE_MS = 700;
const WATCH_STREAM_MS = 4_000;
const QUIET_DEADLINE_MS = 90_000;
const POOLED = ["red", "green", "blue", "white", "black", "brown", "grey", "pink"];
const NAMED = ["north", "south", "east", "west"];
const RUNTIME_IDS = [...POOLED, ...NAMED];
const WATCHED = ["red", "blue", "north", "west"];

const LOADS: readonly ClientLoad[] = [
  unaryLoad,
  unaryLoad,
  streamLoad,
  streamLoad,
  awaitLoad,
  batchLoad,
  cancellingLoad,
  operatorLoad,
];

function startExecutors(cluster: Cluster): void {
  const pool = { pool: POOL, leaseTtlMs: LEASE_TTL_MS };
  cluster.startExecutor({ executorId: "pool-streams", ...pool, slots: 3 });
  cluster.startExecutor({ executorId: "pool-streams-too", ...pool, slots: 2 }, 1);
  cluster.startExecutor({ executorId: "pool-polls", ...pool, slots: 2, session: "poll" }, 1);
  const runtimeIds = [...NAMED];
  cluster.startExecutor({ executorId: "named", leaseTtlMs: LEASE_TTL_MS, runtimeIds, slots: 4 });
}

async function ensureRuntimes(client: FaultClient): Promise<void> {
  const retryBackoff = { initial: durationFromMs(100), max: durationFromMs(1_000) };
  for (const runtimeId of RUNTIME_IDS) {
    const pool = POOLED.includes(runtimeId) ? POOL : "named";
    const request = { runtimeId, config: { pool, attemptLimit: 3, retryBackoff } };
    await client.endpoints.call(({ runtimes }, limits) => runtimes.ensureRuntime(request, limits));
  }
}

/** A last prompt for each runtime, so that what waits without a wake is run, too. */
async function wakeAll(client: FaultClient): Promise<void> {
  for (const [index, runtimeId] of RUNTIME_IDS.entries()) {
    const plan = planInput(client, index, "prompt");
    await ingest(client, runtimeId, { ...plan, text: textFor("complete", plan.key) });
  }
}

async function liveInputs(client: FaultClient, runtimeId: string): Promise<number> {
  const { runtime } = await client.endpoints.call(({ runtimes }, limits) => {
    return runtimes.getRuntime({ runtimeId }, limits);
  });
  const counts = runtime?.inputCounts;
  if (counts === undefined) throw new Error(`${runtimeId} has no counts`);
  const runs = runtime?.currentRun === undefined ? 0 : 1;
  return Number(counts.queued + counts.staged + counts.appliedPendingConsumption) + runs;
}

/** Waits until nothing is left to do; gives up quietly, the checker says what is left. */
async function untilQuiet(client: FaultClient): Promise<void> {
  const endMs = performance.now() + QUIET_DEADLINE_MS;
  for (const runtimeId of RUNTIME_IDS) {
    while (performance.now() < endMs && (await liveInputs(client, runtimeId)) > 0) continue;
  }
}

async function collectAll(
  cluster: Cluster,
  client: FaultClient,
  watchers: readonly Watcher[],
): Promise<readonly FinalRuntime[]> {
  const runtimes: FinalRuntime[] = [];
  for (const runtimeId of RUNTIME_IDS) {
    runtimes.push(await collectRuntime(client.endpoints.next(), runtimeId));
  }
  for (const { runtimeId, revision } of watchers) {
    const head = runtimes.find((runtime) => runtime.runtimeId === runtimeId)?.revision ?? 0;
    const what = `the watcher of ${runtimeId} is at ${head}, see ${cluster.directory}`;
    await eventually(what, WATCH_STREAM_MS * 3, () => revision() >= head);
  }
  return runtimes;
}

/** Runs it all on a cluster of two replicas. */
export async function sufferLongRun(cluster: Cluster, options: LongRunOptions): Promise<LongRun> {
  const { seed, faults } = options;
  const path = join(cluster.directory, "logs", "clients.jsonl");
  const recorder = makeHistoryRecorder(path, ["answered"]);
  const closing = new AbortController();
  const ending = new AbortController();
  const scene: Scene = {
    urls: cluster.urls,
    runtimeIds: RUNTIME_IDS,
    recorder,
    seed,
    closing: closing.signal,
    ending: ending.signal,
  };
  const closer = makeFaultClient(scene, LOADS.length);
  try {
    await ensureRuntimes(closer);
    startExecutors(cluster);
    const watchers = WATCHED.map((runtimeId) => {
      const terms = { runtimeId, urls: cluster.urls, recorder, streamMs: WATCH_STREAM_MS };
      return startWatcher({ ...terms, name: `watcher-${runtimeId}`, signal: ending.signal });
    });
    const clients = LOADS.map((load, number) => {
      return load(makeFaultClient(scene, number, number % 4 === 0 ? "json" : "grpc"));
    });
    const following = Promise.all([...clients, ...watchers.map((watcher) => watcher.ended)]);
    const startedMs = performance.now();
    const suffering = sufferFaults(orderFaults(faults, seed), {
      cluster,
      executors: cluster.executors,
      seed,
      progress: recorder.answerCount,
      longPauseMs: LONG_PAUSE_MS,
      shortPauseMs: SHORT_PAUSE_MS,
    });
    const happened = await Promise.race([suffering, failureOf(following)]);
    const healedMs = performance.now();
    closing.abort();
    await Promise.race([Promise.all(clients), failureOf(following)]);
    await wakeAll(closer);
    await untilQuiet(closer);
    const runtimes = await collectAll(cluster, closer, watchers);
    const executors = cluster.executors.filter((executor) => executor.hasFailed());
    return {
      history: { entries: [...recorder.entries, ...cluster.executorEntries()], runtimes },
      faults: happened,
      faultsMs: healedMs - startedMs,
      healingMs: performance.now() - healedMs,
      failedExecutors: executors.map((executor) => executor.logPath),
    };
  } finally {
    closing.abort();
    ending.abort();
    recorder.close();
  }
}

/** Rejects when the work does, and never resolves. */
function failureOf(work: Promise<unknown>): Promise<never> {
  return new Promise((_resolve, reject) => {
    work.catch(reject);
  });
}
