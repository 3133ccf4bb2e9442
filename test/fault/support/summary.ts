// The figures of a long run, for people.
import { entriesOf } from "./history.ts";
import type { LongRun } from "./long-run.ts";

/** A few lines that say how much was done and suffered. */
export function summaryOf(run: LongRun, seed: number): string {
  const { entries, runtimes } = run.history;
  const total = (count: (runtime: (typeof runtimes)[number]) => number): number =>
    runtimes.reduce((sum, runtime) => sum + count(runtime), 0);
  const faultCount = [...run.faults.values()].reduce((sum, count) => sum + count, 0);
  const kinds = [...run.faults].map(([kind, count]) => `${kind} ${count}`).join(", ");
  const events = total((runtime) => runtime.events.length);
  const runs = total((runtime) => {
    return runtime.events.filter((event) => event.eventCode === "run.started").length;
  });
  const state = (name: "consumed" | "superseded" | "coalesced" | "abandoned"): string =>
    `${total((runtime) => runtime.counts[name])} ${name}`;
  return [
    `seed ${seed}, ${faultCount} faults in ${Math.round(run.faultsMs / 1000)} s: ${kinds}`,
    `inputs: ${total((runtime) => runtime.counts.accepted)} accepted = ${state("consumed")}` +
      ` + ${state("superseded")} + ${state("coalesced")} + ${state("abandoned")}`,
    `answers: ${entriesOf(entries, "answered").length} to inputs, ` +
      `${entriesOf(entries, "awaited").length} to waits`,
    `runs: ${runs} started, ${entriesOf(entries, "boundary").length} boundaries told, ` +
      `${entriesOf(entries, "refused").length} refused as fenced`,
    `events: ${events}, ${entriesOf(entries, "watched").length} watched over ` +
      `${entriesOf(entries, "watch_opened").length} streams`,
    `quiet and read after ${Math.round(run.healingMs / 1000)} s`,
  ].join("\n");
}
