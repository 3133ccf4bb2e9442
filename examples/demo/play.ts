// The course of the demo: start everything, send, kill half-way, start again, and wait until
// nothing is left to do.
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { setTimeout as delay } from "node:timers/promises";
import type { IngestBatchItem } from "../../gen/keelson/runtime/v1/service_pb.ts";
import { type DemoClient, makeClient } from "./client.ts";
import { type Acknowledgement, sendInputs } from "./ingest.ts";
import { type DemoProcess, type DemoServer, killDatabase } from "./processes.ts";
import type { Screen } from "./screen.ts";

/** Who takes part. */
export interface Stage {
  readonly directory: string;
  readonly server: DemoServer;
  readonly workers: readonly DemoProcess[];
  readonly screen: Screen;
  readonly pool: string;
}

/** What is left for the accounts. */
export interface Play {
  readonly client: DemoClient;
  readonly runtimeIds: readonly string[];
  readonly acknowledged: readonly Acknowledgement[];
}

interface Counts {
  readonly done: number;
  readonly waiting: number;
  readonly running: number;
}

const POLL_MS = 200;
const DEADLINE_MS = 110_000;
const ATTEMPTS = 3;
const BACKOFF = { initial: durationFromMs(300), max: durationFromMs(2_000) };

async function readCounts(client: DemoClient, pool: string): Promise<Counts> {
  const request = { filter: { pool }, pageSize: 100 };
  const page = await client.call((runtimes, limits) => runtimes.listRuntimes(request, limits));
  let [done, waiting, running] = [0, 0, 0];
  for (const { inputCounts } of page.runtimes) {
    if (inputCounts === undefined) continue;
    const { consumed, superseded, coalesced, abandoned } = inputCounts;
    done += Number(consumed + superseded + coalesced + abandoned);
    waiting += Number(inputCounts.queued);
    running += Number(inputCounts.staged + inputCounts.appliedPendingConsumption);
  }
  return { done, waiting, running };
}

async function ensureRuntimes(
  client: DemoClient,
  runtimeIds: readonly string[],
  pool: string,
): Promise<void> {
  const config = { pool, attemptLimit: ATTEMPTS, retryBackoff: BACKOFF };
  for (const runtimeId of runtimeIds) {
    await client.call((runtimes, limits) => runtimes.ensureRuntime({ runtimeId, config }, limits));
  }
}

/** Kills the server, the database and a worker at once, and starts them again. */
async function strike({ directory, server, workers, screen }: Stage): Promise<void> {
  const [victim] = workers;
  if (victim === undefined) return;
  const pids = [server.pid(), victim.pid()];
  const [databasePid] = await Promise.all([killDatabase(directory), server.kill(), victim.kill()]);
  const [serverPid, victimPid] = pids;
  screen.strike(
    `kill -9: the server (${serverPid}), the database (${databasePid}), ` +
      `${victim.name} (${victimPid})`,
  );
  const killedMs = performance.now();
  await server.start();
  await victim.start();
  const seconds = ((performance.now() - killedMs) / 1000).toFixed(1);
  screen.step(
    `all three are back after ${seconds} s; the other worker waited for the server and went on`,
  );
}

/** Plays the demo to its end. Throws when it takes too long. */
export async function playDemo(
  stage: Stage,
  items: readonly IngestBatchItem[],
  options: { readonly kills: boolean },
): Promise<Play> {
  const { server, workers, screen, pool, directory } = stage;
  screen.title("Keelson demo");
  await server.start();
  screen.step(`a server on an embedded database at ${server.url()}, data in ${directory}`);
  const client = makeClient(server.url());
  const runtimeIds = [...new Set(items.map((item) => item.runtimeId))];
  await ensureRuntimes(client, runtimeIds, pool);
  for (const worker of workers) await worker.start();
  screen.step(`${workers.length} workers that run examples/demo/text-job for every run`);
  screen.step(`${items.length} lines of examples/demo/inputs.jsonl for ${runtimeIds.length} desks`);

  const acknowledged: Acknowledgement[] = [];
  const inputIds = new Set<string>();
  let counts: Counts = { done: 0, waiting: 0, running: 0 };
  const sending = sendInputs(client, items, {
    backlog: () => inputIds.size - counts.done,
    onAcknowledged: (one) => {
      acknowledged.push(one);
      inputIds.add(one.inputId);
    },
  });
  const distinct = new Set(items.map((item) => item.input?.idempotencyKey)).size;
  const endMs = performance.now() + DEADLINE_MS;
  let striking: Promise<void> | undefined;
  let trouble = "";
  const watching = (async () => {
    while (counts.done < distinct) {
      if (performance.now() > endMs) {
        throw new Error(`only ${counts.done} inputs were done in time`);
      }
      counts = await readCounts(client, pool);
      if (options.kills && striking === undefined && counts.done >= distinct / 2) {
        trouble = "the server is away";
        striking = strike(stage).finally(() => {
          trouble = "";
        });
      }
      await delay(POLL_MS);
    }
  })();
  const drawing = setInterval(() => {
    const sent = acknowledged.length;
    screen.progress({ lines: items.length, sent, inputs: distinct, ...counts, trouble });
  }, POLL_MS);
  try {
    await Promise.all([sending, watching]);
    await striking;
  } finally {
    clearInterval(drawing);
    screen.settle();
  }
  screen.step("all work is done; the accounts, from what is stored:");
  return { client, runtimeIds, acknowledged };
}
