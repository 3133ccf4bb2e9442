// The demo: a server with an embedded database, two workers that run a real command, a few hundred
// jobs, and half-way a kill -9 of the server, the database and a worker. At the end every job is
// accounted for from what the server has stored. Exit code 1 when anything is off.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { drawUpAccounts, isSound } from "./audit.ts";
import { readInputs } from "./ingest.ts";
import { playDemo } from "./play.ts";
import { killDatabase, makeServer, makeWorker } from "./processes.ts";
import { makeScreen, tableOf } from "./screen.ts";

const USAGE = `
  npm run demo -- [flags]
    --no-kills   lets everything live
    --jobs <n>   sends the first n lines only, and the closing ones
    --keep       keeps data and logs
`;
const POOL = "demo";
const SLOTS = 2;
/** A database that was just starting may still write for a moment. */
const REMOVAL = { recursive: true, force: true, maxRetries: 20, retryDelay: 250 };

const { values: flags } = parseArgs({
  options: {
    kills: { type: "boolean", default: true },
    jobs: { type: "string", default: "100000" },
    keep: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
  allowNegative: true,
});
const jobs = Number(flags.jobs);
if (flags.help || !Number.isInteger(jobs) || jobs < 0) {
  process.stdout.write(USAGE);
  process.exit(flags.help ? 0 : 2);
}

const screen = makeScreen();
const directory = await mkdtemp(join(tmpdir(), "keelson-demo-"));
const server = makeServer(directory);
const worker = { url: server.url, pool: POOL, slots: SLOTS };
const workers = ["worker-1", "worker-2"].map((name) => makeWorker(name, directory, worker));
const startedMs = performance.now();

async function tidyUp(): Promise<void> {
  await Promise.all(workers.map((process) => process.kill()));
  await server.kill();
  await killDatabase(directory);
  if (!flags.keep) await rm(directory, REMOVAL);
}

process.once("SIGINT", () => {
  screen.settle();
  void tidyUp().finally(() => process.exit(130));
});

try {
  const items = readInputs(jobs);
  const stage = { directory, server, workers, screen, pool: POOL };
  const play = await playDemo(stage, items, { kills: flags.kills });
  const { client, runtimeIds, acknowledged } = play;
  const accounts = await drawUpAccounts(client, runtimeIds, acknowledged);
  const duplicates = acknowledged.filter((one) => one.isDuplicate).length;
  const facts = { sent: acknowledged.length, duplicates, repetitions: client.repetitions() };
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  process.stdout.write(`\n${tableOf(accounts, facts)}\n`);
  process.stdout.write(`  ${seconds} s${flags.keep ? `, everything is in ${directory}` : ""}\n\n`);
  process.exitCode = isSound(accounts) ? 0 : 1;
} finally {
  await tidyUp();
}
process.exit();
