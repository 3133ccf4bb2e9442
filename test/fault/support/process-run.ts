// The long run over processes: clients, watchers and workers go on while replicas, the database and
// workers are killed and paused; then everything is mended, all work is brought to its end, and the
// whole history is handed to the checker.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ProcessState, WakeDeliveryState } from "../../../gen/keelson/process/v1/messages_pb.ts";
import type { Cluster } from "./cluster.ts";
import type { Endpoint } from "./endpoints.ts";
import { type FaultKind, type FaultPlan, orderFaults, sufferFaults } from "./faults.ts";
import { openHistoryLog, readHistory } from "./history-log.ts";
import { makeHistoryRecorder } from "./history-recorder.ts";
import { makeProcessClient, type ProcessScene } from "./process-client.ts";
import {
  collectHandles,
  collectInbox,
  collectProcess,
  listProcessIds,
} from "./process-collector.ts";
import {
  type FinalProcess,
  type ProcessEntry,
  processEntrySchema,
  type ProcessHistory,
} from "./process-history.ts";
import { deletionLoad, jobLoad, type ProcessLoad, SESSIONS } from "./process-loads.ts";
import { type ProcessWatcher, startProcessWatcher } from "./process-watcher.ts";
import { makeProgram, type Program } from "./program.ts";
import { happensWithin } from "./waiting.ts";
import type { WorkerOrder } from "./worker-order.ts";

/** What came of a run. */
export interface ProcessRun {
  readonly history: ProcessHistory;
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly faultsMs: number;
  readonly healingMs: number;
  /** Workers that ended by themselves: they were refused something they should not be. */
  readonly failedWorkers: readonly string[];
}

const WORKER = fileURLToPath(new URL("./worker-program.ts", import.meta.url));
const LEASE_TTL_MS = 2_000;
const LONG_PAUSE_MS = 4_500;
const SHORT_PAUSE_MS = 700;
const QUIET_DEADLINE_MS = 45_000;
const READS_AT_ONCE = 8;
const WORKERS = 4;
const WATCHERS = 2;
const LOADS: readonly ProcessLoad[] = [
  jobLoad,
  jobLoad,
  jobLoad,
  jobLoad,
  deletionLoad,
  deletionLoad,
];

const ANSWERS: readonly ProcessEntry["type"][] = [
  "registered",
  "granted",
  "moved",
  "appended",
  "awaited",
  "deleted",
];

/** The workers of a run, and what they wrote down. */
function makeWorkers({ directory, urls }: Cluster) {
  const logs = join(directory, "logs");
  const pathOf = (name: string): string => join(logs, `${name}.jsonl`);
  const workers: readonly Program[] = Array.from({ length: WORKERS }, (_worker, index) => {
    const name = `worker-${index}`;
    const order: WorkerOrder = {
      workerId: name,
      urls: [...urls.slice(index % urls.length), ...urls.slice(0, index % urls.length)],
      protocol: index % 2 === 0 ? "grpc" : "json",
      slots: 3,
      leaseTtlMs: LEASE_TTL_MS,
      historyPath: pathOf(name),
    };
    return makeProgram({ name, script: WORKER, order, directory: logs });
  });
  return {
    workers,
    start: (): void => {
      for (const { name, start } of workers) {
        openHistoryLog(pathOf(name)).close();
        start();
      }
    },
    kill: async (): Promise<void> => void (await Promise.all(workers.map((one) => one.kill()))),
    entries: (): readonly ProcessEntry[] =>
      workers.flatMap(({ name }) => readHistory(pathOf(name), processEntrySchema)),
  };
}

/** Maps a few at a time, in order. */
async function mapSome<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (let start = 0; start < items.length; start += READS_AT_ONCE) {
    const some = items.slice(start, start + READS_AT_ONCE);
    results.push(...(await Promise.all(some.map(work))));
  }
  return results;
}

async function hasOpenEnds({ processes }: Endpoint, processId: string): Promise<boolean> {
  const { events } = await processes.listWakeEvents({ processId, pageSize: 1_000 });
  const { grants } = await processes.listProcessGrants({ processId });
  return (
    events.some(({ wake }) => wake?.state !== WakeDeliveryState.DELIVERED) ||
    grants.some(({ transferringTo }) => transferringTo !== undefined)
  );
}

/** Waits until nothing is left to do; gives up quietly, the checker says what is left. */
async function untilQuiet(endpoint: Endpoint): Promise<void> {
  await happensWithin(QUIET_DEADLINE_MS, async () => {
    return (await listProcessIds(endpoint, [ProcessState.RUNNING])).length === 0;
  });
  let open = await listProcessIds(endpoint);
  await happensWithin(QUIET_DEADLINE_MS, async () => {
    const results = await mapSome(open, (processId) => hasOpenEnds(endpoint, processId));
    open = open.filter((_processId, index) => results[index] === true);
    return open.length === 0;
  });
}

async function collect(
  endpoint: Endpoint,
  watchers: readonly ProcessWatcher[],
): Promise<Omit<ProcessHistory, "entries">> {
  const names = await listProcessIds(endpoint);
  const processes = await mapSome(names, (name) => collectProcess(endpoint, name));
  const isBehind = ({ processId, revision }: FinalProcess): boolean =>
    watchers.some(({ revisionOf }) => revisionOf(processId) < revision);
  await happensWithin(QUIET_DEADLINE_MS / 3, () => !processes.some(isBehind));
  return {
    processes,
    inboxes: await mapSome(SESSIONS, (name) => collectInbox(endpoint, name)),
    handles: await mapSome(SESSIONS, (name) => collectHandles(endpoint, name)),
  };
}

/** Rejects when the work does, and never resolves. */
function failureOf(work: Promise<unknown>): Promise<never> {
  return new Promise((_resolve, reject) => {
    work.catch(reject);
  });
}

/** Runs it all on a cluster of two replicas. */
export async function sufferProcessRun(
  cluster: Cluster,
  { seed, faults }: { readonly seed: number; readonly faults: FaultPlan },
): Promise<ProcessRun> {
  const path = join(cluster.directory, "logs", "clients.jsonl");
  const recorder = makeHistoryRecorder<ProcessEntry>(path, ANSWERS);
  const [closing, ending] = [new AbortController(), new AbortController()];
  const facts = { urls: cluster.urls, recorder, seed };
  const scene: ProcessScene = { ...facts, closing: closing.signal, ending: ending.signal };
  const crew = makeWorkers(cluster);
  const { endpoints } = makeProcessClient(scene, LOADS.length, "grpc");
  try {
    for (const runtimeId of SESSIONS) {
      await endpoints.call(({ runtimes }, limits) => runtimes.ensureRuntime({ runtimeId }, limits));
    }
    const watchers = Array.from({ length: WATCHERS }, (_watcher, index) => {
      return startProcessWatcher(scene, `watcher-${index}`, index);
    });
    await Promise.all(watchers.map(({ ready }) => ready));
    crew.start();
    const clients = Promise.all(
      LOADS.map((load, number) => {
        return load(makeProcessClient(scene, number, number % 3 === 0 ? "json" : "grpc"));
      }),
    );
    const failing = failureOf(Promise.all([clients, ...watchers.map(({ ended }) => ended)]));
    const startedMs = performance.now();
    const suffering = sufferFaults(orderFaults(faults, seed), {
      cluster,
      executors: crew.workers,
      seed,
      progress: recorder.answerCount,
      longPauseMs: LONG_PAUSE_MS,
      shortPauseMs: SHORT_PAUSE_MS,
    });
    const happened = await Promise.race([suffering, failing]);
    const healedMs = performance.now();
    closing.abort();
    await Promise.race([clients, failing]);
    const endpoint = endpoints.next();
    await untilQuiet(endpoint);
    const failed = crew.workers.filter((worker) => worker.hasFailed());
    const collected = await collect(endpoint, watchers);
    return {
      history: { entries: [...recorder.entries, ...crew.entries()], ...collected },
      faults: happened,
      faultsMs: healedMs - startedMs,
      healingMs: performance.now() - healedMs,
      failedWorkers: failed.map((worker) => worker.logPath),
    };
  } finally {
    closing.abort();
    ending.abort();
    await crew.kill();
    recorder.close();
  }
}
