/**
 * (e) The unary figures with many runtimes registered and on a runtime with a long past, against
 * the same measured empty. (f) Cold load of that runtime, restart, memory per loaded runtime.
 */
import { ensureRuntimes, type BenchEnvironment } from "../support/environment.ts";
import { runtimeIds } from "../support/inputs.ts";
import { startBenchServer } from "../support/servers.ts";
import { median } from "../support/stats.ts";
import { consumeAll } from "../support/consume.ts";
import { ratePerSecond, unaryRound } from "./unary.ts";

const RUNTIMES = 256;

/** Runs both sections. */
export async function benchScale(environment: BenchEnvironment): Promise<void> {
  const { report, scale, unique, dataDirectory } = environment;
  const emptyName = `empty-${unique}`;
  const fullName = `full-${unique}`;
  const empty = await startBenchServer("journal", emptyName, dataDirectory);
  const full = await startBenchServer("journal", fullName, dataDirectory);
  const section = "e";

  const memoryBefore = await full.metric("process_resident_memory_bytes");
  await ensureRuntimes(full, runtimeIds("registered", scale.manyRuntimes), "nobody");
  const loaded = await full.metric("keelson_cache_streams");
  const memoryAfter = await full.metric("process_resident_memory_bytes");

  const runtimes = runtimeIds("scale", RUNTIMES);
  await ensureRuntimes(empty, runtimes, "nobody");
  await ensureRuntimes(full, runtimes, "nobody");
  const manyRatios: number[] = [];
  for (let round = 0; round < scale.rounds; round += 1) {
    const few = await unaryRound(empty, runtimes, `e${round}`, scale.roundMs);
    const many = await unaryRound(full, runtimes, `e${round}`, scale.roundMs);
    manyRatios.push(ratePerSecond(few) / ratePerSecond(many));
  }
  report.add({
    section,
    name: `Ingest, empty against ${scale.manyRuntimes.toLocaleString("en-US")} runtimes`,
    value: median(manyRatios),
    unit: "times",
    target: { atMost: 1.25 },
  });

  await consumeAll(full, "past", scale.pastInputs);
  await ensureRuntimes(empty, ["past"], "nobody");
  const pastRatios: number[] = [];
  for (let round = 0; round < scale.rounds; round += 1) {
    const fresh = await unaryRound(empty, ["past"], `p${round}`, scale.roundMs / 4);
    const past = await unaryRound(full, ["past"], `p${round}`, scale.roundMs / 4);
    pastRatios.push(ratePerSecond(fresh) / ratePerSecond(past));
  }
  report.add({
    section,
    name: `Ingest, empty against ${scale.pastInputs.toLocaleString("en-US")} past inputs`,
    value: median(pastRatios),
    unit: "times",
    target: { atMost: 1.25 },
  });
  await empty.stop();
  await full.stop();

  const restarted = await startBenchServer("journal", fullName, dataDirectory);
  report.add({ section: "f", name: "restart to serving", value: restarted.startMs, unit: "ms" });
  const startedMs = performance.now();
  await restarted.runtime.getRuntime({ runtimeId: "past" });
  const coldMs = performance.now() - startedMs;
  report.add({ section: "f", name: "cold load of the long past", value: coldMs, unit: "ms" });
  const perRuntime = (memoryAfter - memoryBefore) / loaded;
  report.add({ section: "f", name: "memory per loaded runtime", value: perRuntime, unit: "bytes" });
  await restarted.stop();
}
