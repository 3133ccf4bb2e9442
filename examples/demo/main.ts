/**
 * The demo: a server, its database, two workers and a few hundred jobs; half-way the server, the
 * database and one worker are killed. At the end nothing may be lost and nothing done twice.
 *
 *   npm run demo                    all of it
 *   npm run demo -- --no-kills      the same on a good day
 *   npm run demo -- --keep          the data directory stays, for a look around
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { fromJsonString } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  type IngestRequest,
  IngestRequestSchema,
  RuntimeControlPlaneService,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { audit, type Findings, type RuntimeClient, totalsOf } from "./ledger.ts";
import {
  freePort,
  killDatabase,
  makeServer,
  makeWorker,
  pause,
  type Restartable,
  untilReady,
} from "./processes.ts";

const POOL = "demo";
const DONE_WITHIN_MS = 110_000;
const LOOK_MS = 250;
const RETRY_MS = 200;
const CALL_TIMEOUT_MS = 5000;

const { values: flags } = parseArgs({
  options: { "no-kills": { type: "boolean" }, keep: { type: "boolean" } },
});
const withKills = flags["no-kills"] !== true;
const isTerminal = process.stdout.isTTY;

function say(line: string): void {
  process.stdout.write(isTerminal ? `\r\u001b[K${line}\n` : `${line}\n`);
}

let lastProgress = "";
function showProgress(line: string): void {
  if (line === lastProgress) return;
  lastProgress = line;
  process.stdout.write(isTerminal ? `\r\u001b[K${line}` : `${line}\n`);
}

/** Calls until the server answers; every call of the demo may be sent again. */
async function persistently<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  const deadlineMs = Date.now() + DONE_WITHIN_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > deadlineMs) throw error;
      await pause(RETRY_MS);
    }
  }
}

function readInputs(): Map<string, IngestRequest[]> {
  const path = fileURLToPath(new URL("./inputs.jsonl", import.meta.url));
  const byRuntime = new Map<string, IngestRequest[]>();
  for (const line of readFileSync(path, "utf8").trim().split("\n")) {
    const request = fromJsonString(IngestRequestSchema, line);
    const known = byRuntime.get(request.runtimeId);
    if (known) known.push(request);
    else byRuntime.set(request.runtimeId, [request]);
  }
  return byRuntime;
}

/** Sends the inputs of one runtime in order and notes what was acknowledged. */
async function ingestAll(
  client: RuntimeClient,
  requests: readonly IngestRequest[],
  note: (runtimeId: string, inputId: string, isDuplicate: boolean) => void,
  gate: (share: number) => Promise<void>,
): Promise<void> {
  for (const [index, request] of requests.entries()) {
    await gate(index / requests.length);
    const { outcome } = await persistently(() => client.ingest(request));
    if (outcome.case === "accepted") note(request.runtimeId, outcome.value.inputId, false);
    else if (outcome.case === "deduplicated") {
      note(request.runtimeId, outcome.value.existingId, true);
    } else throw new Error(`${request.runtimeId} rejected an input`);
  }
}

function printFindings(
  findings: Findings,
  sent: number,
  duplicates: number,
  elapsedMs: number,
): boolean {
  const { totals } = findings;
  const ended = totals.consumed + totals.abandoned + totals.superseded + totals.coalesced;
  const isBalanced = totals.accepted === ended && totals.live === 0;
  const rows: readonly (readonly [string, string])[] = [
    ["calls acknowledged", `${sent}, of which ${duplicates} were known already`],
    ["accepted", String(totals.accepted)],
    ["  consumed", String(totals.consumed)],
    ["  abandoned after three attempts", String(totals.abandoned)],
    ["  superseded", String(totals.superseded)],
    ["  coalesced", String(totals.coalesced)],
    ["accepted = all of these", isBalanced ? "yes" : `NO, ${totals.live} are still live`],
    ["lost", String(findings.lost)],
    ["consumed twice", String(findings.consumedTwice)],
    ["consumed without receipt", String(findings.withoutReceipt)],
    ["receipts loaded", `${findings.receipts - findings.receiptsMissing} of ${findings.receipts}`],
    ["commits in the hash chains", String(findings.commits)],
    ["hash chains broken", String(findings.runtimesInvalid)],
    ["time", `${(elapsedMs / 1000).toFixed(1)} s`],
  ];
  say("");
  for (const [name, value] of rows) say(`  ${name.padEnd(34)}${value}`);
  say("");
  const faults =
    findings.lost +
    findings.consumedTwice +
    findings.withoutReceipt +
    findings.receiptsMissing +
    findings.runtimesInvalid;
  return isBalanced && faults === 0;
}

/** Kills what can be killed, and starts it again. */
async function havoc(
  server: Restartable,
  worker: Restartable,
  dataDirectory: string,
  address: string,
): Promise<void> {
  const pids = [server.pid(), killDatabase(dataDirectory), worker.pid()];
  await Promise.all([server.kill(), worker.kill()]);
  say(`  kill -9: server ${pids[0]}, database ${pids[1]}, worker ${pids[2]}`);
  await pause(1000);
  server.start();
  worker.start();
  await untilReady(address);
  say("  server, database and worker are up again");
}

async function play(
  client: RuntimeClient,
  disrupt: () => Promise<void>,
): Promise<{ readonly findings: Findings; readonly sent: number; readonly duplicates: number }> {
  const inputs = readInputs();
  const runtimeIds = [...inputs.keys()];
  const retryBackoff = { initial: { nanos: 200_000_000 }, max: { seconds: 1n } };
  for (const runtimeId of runtimeIds) {
    const config = { pool: POOL, retryBackoff };
    await persistently(() => client.ensureRuntime({ runtimeId, config }));
  }
  const total = [...inputs.values()].reduce((sum, requests) => sum + requests.length, 0);
  say(`  ${total} jobs for ${runtimeIds.length} runtimes, two workers`);

  const acknowledged = new Map(runtimeIds.map((runtimeId) => [runtimeId, new Set<string>()]));
  const secondHalf = Promise.withResolvers<void>();
  let sent = 0;
  let duplicates = 0;
  const note = (runtimeId: string, inputId: string, isDuplicate: boolean): void => {
    acknowledged.get(runtimeId)?.add(inputId);
    sent += 1;
    if (isDuplicate) duplicates += 1;
  };
  // The last third is sent while the killed ones are still coming back.
  const gate = async (share: number): Promise<void> => {
    if (share > 2 / 3) await secondHalf.promise;
  };
  const ingesting = Promise.all(
    [...inputs.values()].map((requests) => ingestAll(client, requests, note, gate)),
  );

  let disruption: Promise<void> | undefined;
  let isIngested = false;
  void ingesting.then(
    () => {
      isIngested = true;
    },
    () => undefined,
  );
  const deadlineMs = Date.now() + DONE_WITHIN_MS;
  while (Date.now() < deadlineMs) {
    const totals = await totalsOf(client, runtimeIds).catch(() => undefined);
    if (totals) {
      const ended = totals.accepted - totals.live;
      showProgress(`  accepted ${totals.accepted}, done ${ended}, waiting ${totals.live}`);
      if (disruption === undefined && ended >= total / 3) {
        disruption = disrupt();
        secondHalf.resolve();
      }
      if (isIngested && totals.live === 0) break;
    }
    await pause(LOOK_MS);
  }
  await ingesting;
  await disruption;
  say("  checking every input, receipt and hash");
  return { findings: await audit(client, acknowledged), sent, duplicates };
}

async function main(): Promise<boolean> {
  const startedMs = Date.now();
  const dataDirectory = mkdtempSync(join(tmpdir(), "keelson-demo-"));
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const server = makeServer(port, dataDirectory);
  const workers = [makeWorker("worker-1", address, POOL), makeWorker("worker-2", address, POOL)];
  const [first] = workers;
  const transport = createGrpcTransport({ baseUrl: address, defaultTimeoutMs: CALL_TIMEOUT_MS });
  const client = createClient(RuntimeControlPlaneService, transport);
  try {
    say(`  starting a server on ${address} with an embedded database`);
    server.start();
    await untilReady(address);
    for (const worker of workers) worker.start();
    const disrupt = async (): Promise<void> => {
      if (withKills && first) await havoc(server, first, dataDirectory, address);
    };
    const { findings, sent, duplicates } = await play(client, disrupt);
    return printFindings(findings, sent, duplicates, Date.now() - startedMs);
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    await server.stop();
    if (flags.keep) say(`  data: ${dataDirectory}`);
    else rmSync(dataDirectory, { recursive: true, force: true, maxRetries: 20, retryDelay: 500 });
  }
}

const isGood = await main();
say(isGood ? "  Nothing was lost, nothing was done twice." : "  SOMETHING IS WRONG.");
process.exit(isGood ? 0 : 1);
