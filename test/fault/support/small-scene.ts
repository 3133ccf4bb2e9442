// The stage of the short fault cases: a cluster, one careful client, and the checker at the end.
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Runtime } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { checkHistory } from "./checker.ts";
import { ingest } from "./client-loads.ts";
import { type FaultClient, makeFaultClient } from "./client.ts";
import { type Cluster, type ClusterOptions, startCluster } from "./cluster.ts";
import { collectRuntime } from "./collector.ts";
import { type HistoryRecorder, makeHistoryRecorder } from "./history-recorder.ts";
import type { FinalRuntime } from "./history.ts";
import { type Directive, textFor } from "./made-inputs.ts";
import { eventually } from "./waiting.ts";
import type { Violation } from "./violation.ts";

/** What a short case has at hand. */
export interface SmallScene {
  readonly cluster: Cluster;
  readonly client: FaultClient;
  readonly recorder: HistoryRecorder;
  /** Registers a runtime of the pool `small`, with short backoffs. */
  readonly ensure: (runtimeId: string) => Promise<void>;
  /** Sends a prompt until it is answered; its key is its name. */
  readonly send: (runtimeId: string, name: string, directive?: Directive) => Promise<void>;
  readonly read: (runtimeId: string) => Promise<Runtime>;
  /** Waits until so many inputs of the runtime were consumed. */
  readonly untilConsumed: (runtimeId: string, count: number) => Promise<void>;
  /** Reads everything about runtimes and has it judged together with what was recorded. */
  readonly judge: (...runtimeIds: readonly string[]) => Promise<Judgement>;
}

/** What the checker says, and what it was told. */
export interface Judgement {
  readonly violations: readonly Violation[];
  readonly runtimes: readonly FinalRuntime[];
}

/** Pool of the runtimes of short cases. */
export const SMALL_POOL = "small";

const CONSUMED_DEADLINE_MS = 45_000;

/** Makes the scene on a running cluster; it is over when the signal fires. */
export function makeScene(
  cluster: Cluster,
  recorder: HistoryRecorder,
  ending: AbortSignal,
): SmallScene {
  const facts = { urls: cluster.urls, runtimeIds: [], recorder, seed: 1 };
  const client = makeFaultClient({ ...facts, closing: ending, ending }, 0);
  const { endpoints } = client;

  async function read(runtimeId: string): Promise<Runtime> {
    const { runtime } = await endpoints.call(({ runtimes }, limits) => {
      return runtimes.getRuntime({ runtimeId }, limits);
    });
    if (runtime === undefined) throw new Error(`${runtimeId} was not answered`);
    return runtime;
  }

  return {
    cluster,
    client,
    recorder,
    read,
    ensure: async (runtimeId) => {
      const retryBackoff = { initial: durationFromMs(50), max: durationFromMs(500) };
      const request = { runtimeId, config: { pool: SMALL_POOL, retryBackoff } };
      await endpoints.call(({ runtimes }, limits) => runtimes.ensureRuntime(request, limits));
    },
    send: (runtimeId, name, directive = "complete") => {
      const text = textFor(directive, name);
      return ingest(client, runtimeId, { shape: "prompt", key: name, text, scope: "" });
    },
    untilConsumed: (runtimeId, count) =>
      eventually(`${count} inputs of ${runtimeId} are consumed`, CONSUMED_DEADLINE_MS, async () => {
        return ((await read(runtimeId)).inputCounts?.consumed ?? 0n) >= count;
      }),
    judge: async (...runtimeIds) => {
      const runtimes: FinalRuntime[] = [];
      for (const runtimeId of runtimeIds) {
        runtimes.push(await endpoints.call((endpoint) => collectRuntime(endpoint, runtimeId)));
      }
      const entries = [...recorder.entries, ...cluster.executorEntries()];
      return { runtimes, violations: checkHistory({ entries, runtimes }) };
    },
  };
}

/** Plays a case on a cluster of its own; its files stay when it fails. */
export async function onCluster(
  options: ClusterOptions,
  play: (scene: SmallScene) => Promise<void>,
): Promise<void> {
  const cluster = await startCluster(options);
  const path = join(cluster.directory, "logs", "clients.jsonl");
  const recorder = makeHistoryRecorder(path, ["answered"]);
  const ending = new AbortController();
  let isOver = false;
  try {
    await play(makeScene(cluster, recorder, ending.signal));
    isOver = true;
  } finally {
    ending.abort();
    recorder.close();
    if (!isOver) process.stdout.write(`files are kept in ${cluster.directory}\n`);
    await cluster.dispose(!isOver);
  }
}
