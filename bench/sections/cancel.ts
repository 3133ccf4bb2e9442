/**
 * (h) CancelInputs: ten thousand queued inputs by their keys in one call, and as one suffix,
 * against the time that taking them in took.
 */
import { type BenchEnvironment, ensureRuntimes } from "../support/environment.ts";
import { batchBody, PATHS } from "../support/inputs.ts";
import { runRawLoad } from "../support/raw-http.ts";
import { type BenchServer, startBenchServer } from "../support/servers.ts";
import { median } from "../support/stats.ts";

const INPUTS = 10_000;
const BATCH = 1000;

/** The key of an input by its place over all batches. */
function keyOf(index: number): string {
  return `b${Math.floor(index / BATCH)}-${index % BATCH}`;
}

/** Takes inputs in, batch after batch; answers the milliseconds that it took. */
async function fill(server: BenchServer, runtimeId: string): Promise<number> {
  const bodies = Array.from({ length: INPUTS / BATCH }, (_, index) =>
    batchBody([runtimeId], `b${index}`, BATCH),
  ).toReversed();
  const { failures, elapsedMs } = await runRawLoad({
    port: server.port,
    path: PATHS.ingestBatch,
    contentType: "application/proto",
    connections: 1,
    durationMs: 120_000,
    nextBody: () => bodies.pop(),
  });
  if (failures > 0) throw new Error(`${failures} batches failed`);
  return elapsedMs;
}

const keyTarget = (value: string) => ({ target: { case: "idempotencyKey" as const, value } });

/** What is cancelled: every input by its key, or the first one and all behind it. */
const SELECTIONS = {
  "by key": (keys: readonly string[]) => {
    return { case: "targets" as const, value: { targets: keys.map(keyTarget) } };
  },
  "as one suffix": ([first = ""]: readonly string[]) => {
    return { case: "suffixFrom" as const, value: keyTarget(first) };
  },
};

/** Runs the section. */
export async function benchCancel(environment: BenchEnvironment): Promise<void> {
  const { report, scale, unique, dataDirectory } = environment;
  const server = await startBenchServer("journal", `cancel-${unique}`, dataDirectory);
  const section = "h";
  for (const [how, selectionOf] of Object.entries(SELECTIONS)) {
    const times: number[] = [];
    const ratios: number[] = [];
    for (let round = 0; round < scale.rounds; round += 1) {
      const runtimeId = `${how.replaceAll(" ", "-")}-${round}`;
      await ensureRuntimes(server, [runtimeId], "nobody");
      const filledMs = await fill(server, runtimeId);
      const keys = Array.from({ length: INPUTS }, (_, index) => keyOf(index));
      const startedMs = performance.now();
      const response = await server.runtime.cancelInputs({
        runtimeId,
        selection: selectionOf(keys),
      });
      const elapsedMs = performance.now() - startedMs;
      if (response.cancelledCount !== INPUTS) throw new Error(`${response.cancelledCount} done`);
      times.push(elapsedMs);
      ratios.push(elapsedMs / filledMs);
    }
    const name = `CancelInputs of ${INPUTS.toLocaleString("en-US")}, ${how}`;
    report.add({ section, name, value: median(times), unit: "ms" });
    report.add({
      section,
      name: `${name}, against taking them in`,
      value: median(ratios),
      unit: "of ingest",
      target: { atMost: 1 },
    });
  }
  await server.stop();
}
