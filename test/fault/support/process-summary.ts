// The figures of a run over processes, for people.
import { type ProcessEntry, processEntriesOf } from "./process-history.ts";
import type { ProcessRun } from "./process-run.ts";

/** A few lines that say how much was done and suffered. */
export function processSummaryOf(run: ProcessRun, seed: number): string {
  const { entries, processes, inboxes } = run.history;
  const told = (type: ProcessEntry["type"]): number => processEntriesOf(entries, type).length;
  const total = (count: (process: (typeof processes)[number]) => number): number =>
    processes.reduce((sum, process) => sum + count(process), 0);
  const faultCount = [...run.faults.values()].reduce((sum, count) => sum + count, 0);
  const kinds = [...run.faults].map(([kind, count]) => `${kind} ${count}`).join(", ");
  const replays = processEntriesOf(entries, "appended").filter(({ replayed }) => replayed);
  const cancelled = processes.filter(({ state }) => state === "PROCESS_STATE_CANCELLED").length;
  const inputs = inboxes.reduce((sum, { keys }) => sum + keys.length, 0);
  return [
    `seed ${seed}, ${faultCount} faults in ${Math.round(run.faultsMs / 1000)} s: ${kinds}`,
    `processes: ${processes.length}, ${cancelled} of them cancelled, ` +
      `${total((one) => one.generation)} holds`,
    `events: ${total((one) => one.events.length)}, ${told("appended")} appends answered, ` +
      `${replays.length} of them replays, ${told("refused")} refused as fenced`,
    `waits: ${told("awaited")} answered; ${told("followed")} events followed, ` +
      `${told("watched")} changes watched over ${told("watch_opened")} streams`,
    `grants: ${told("granted")}, ${told("moved")} transfers, ${told("deleted")} sessions deleted`,
    `wakes: ${inputs} inputs`,
    `quiet and read after ${Math.round(run.healingMs / 1000)} s`,
  ].join("\n");
}
