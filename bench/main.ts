/**
 * All benchmarks in one run on one machine: prints one table, writes JSON.
 *
 *   npm run bench                     everything
 *   npm run bench -- --quick          the same with less of it
 *   npm run bench -- --only a,c       some sections
 *   npm run bench -- --output f.json  where the JSON goes (bench/results.json)
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pino from "pino";
import { readConfig } from "../src/config/config.ts";
import { processEnvironment } from "../src/config/process-environment.ts";
import { startEmbedded } from "../src/embedded/launcher.ts";
import { benchBlobs } from "./sections/blobs.ts";
import { benchBulk } from "./sections/bulk.ts";
import { benchCancel } from "./sections/cancel.ts";
import { benchClaims } from "./sections/claims.ts";
import { benchDispatch } from "./sections/dispatch.ts";
import { benchGrants } from "./sections/grants.ts";
import { benchOperations } from "./sections/operations.ts";
import { benchProcesses } from "./sections/process.ts";
import { benchScale } from "./sections/scale.ts";
import { benchUnary } from "./sections/unary.ts";
import type { BenchScale } from "./support/environment.ts";
import { makeReport } from "./support/report.ts";

const FULL: BenchScale = {
  roundMs: 2000,
  rounds: 7,
  streamInputs: 40_000,
  latencySamples: 500,
  cycles: 5000,
  manyRuntimes: 100_000,
  pastInputs: 100_000,
  blobBytes: 256 * 1024 * 1024,
};

const QUICK: BenchScale = {
  roundMs: 1500,
  rounds: 3,
  streamInputs: 20_000,
  latencySamples: 100,
  cycles: 1000,
  manyRuntimes: 5000,
  pastInputs: 5000,
  blobBytes: 64 * 1024 * 1024,
};

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", default: "a,b,c,d,e,f,g,h,i,j,k,l" },
    output: { type: "string", default: "bench/results.json" },
  },
});
const sections = new Set(values.only.split(","));
const dataDirectory = mkdtempSync(join(tmpdir(), "keelson-bench-"));
const report = makeReport();
const environment = {
  report,
  scale: values.quick ? QUICK : FULL,
  dataDirectory,
  unique: Date.now().toString(36),
};
const config = readConfig({
  command: "dev",
  environment: processEnvironment(),
  flags: { dataDirectory },
});
// Joining the database here keeps it up between the servers of the sections.
const database = await startEmbedded({ ...config, logger: pino({ level: "warn" }) });
try {
  if (sections.has("a")) await benchUnary(environment);
  if (sections.has("b")) await benchBulk(environment, database.uri);
  if (sections.has("c") || sections.has("d")) await benchDispatch(environment);
  if (sections.has("e") || sections.has("f")) await benchScale(environment);
  if (sections.has("g")) await benchOperations(environment);
  if (sections.has("i")) await benchBlobs(environment);
  if (sections.has("h")) await benchCancel(environment);
  if (sections.has("j")) await benchProcesses(environment);
  if (sections.has("k")) await benchGrants(environment);
  if (sections.has("l")) await benchClaims(environment);
} finally {
  await database.stop();
  rmSync(dataDirectory, { recursive: true, force: true });
}
report.print();
report.write(values.output);
process.stdout.write(`\nwritten to ${values.output}\n`);
for (const name of report.missed()) process.stderr.write(`missed: ${name}\n`);
process.exitCode = report.missed().length > 0 ? 1 : 0;
