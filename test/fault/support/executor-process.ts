// An executor process as the harness handles it: killed, paused, and started again with a new
// incarnation and the same history file.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ExecutorOrder } from "./executor-order.ts";
import { openHistoryLog, readHistory } from "./history-log.ts";
import { type HistoryEntry, historyEntrySchema } from "./history.ts";
import { makeProgram, type Program } from "./program.ts";

/** What differs between executors; the rest has the suite's defaults. */
export type ExecutorPlan = Pick<ExecutorOrder, "executorId"> &
  Partial<Omit<ExecutorOrder, "executorId" | "historyPath" | "urls">>;

/** An executor that can be ended and started again. */
export interface ExecutorProcess extends Program {
  /** Everything it wrote down so far. */
  readonly history: () => readonly HistoryEntry[];
}

const PROGRAM = fileURLToPath(new URL("./executor-program.ts", import.meta.url));

const DEFAULTS = {
  session: "stream",
  pool: "",
  runtimeIds: [],
  slots: 1,
  leaseTtlMs: 2_000,
  workMs: 25,
  waitMs: 400,
  works: true,
  capabilities: [],
} as const;

/** Makes an executor; it is not started yet. */
export function makeExecutor(
  plan: ExecutorPlan,
  where: { readonly urls: readonly string[]; readonly directory: string },
): ExecutorProcess {
  const { executorId: name } = plan;
  const { urls, directory } = where;
  const historyPath = join(directory, `${name}.jsonl`);
  const order = { ...DEFAULTS, ...plan, urls, historyPath };
  const program = makeProgram({ name, script: PROGRAM, order, directory });
  return {
    ...program,
    start: () => {
      openHistoryLog(historyPath).close();
      program.start();
    },
    history: () => readHistory(historyPath, historyEntrySchema),
  };
}
