// An executor process as the harness handles it: killed, paused, and started again with a new
// incarnation and the same history file.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, startChild } from "./child-process.ts";
import type { ExecutorOrder } from "./executor-order.ts";
import { openHistoryLog, readHistory } from "./history-log.ts";
import type { HistoryEntry } from "./history.ts";

/** What differs between executors; the rest has the suite's defaults. */
export type ExecutorPlan = Pick<ExecutorOrder, "executorId"> &
  Partial<Omit<ExecutorOrder, "executorId" | "historyPath" | "urls">>;

/** An executor that can be ended and started again. */
export interface ExecutorProcess {
  readonly executorId: string;
  readonly start: () => void;
  readonly kill: () => Promise<void>;
  readonly pause: () => void;
  readonly resume: () => void;
  /** Whether it ended without having been killed: it was refused something it should not be. */
  readonly hasFailed: () => boolean;
  /** Everything it wrote down so far. */
  readonly history: () => readonly HistoryEntry[];
  readonly logPath: string;
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
  const { executorId } = plan;
  const logPath = join(where.directory, `${executorId}.log`);
  const historyPath = join(where.directory, `${executorId}.jsonl`);
  const order = { ...DEFAULTS, ...plan, urls: where.urls, historyPath };
  let child: Child | undefined;
  return {
    executorId,
    logPath,
    start: () => {
      openHistoryLog(historyPath).close();
      child = startChild({
        script: PROGRAM,
        words: [JSON.stringify(order)],
        logPath,
      });
    },
    kill: async () => {
      const killed = child;
      child = undefined;
      await killed?.kill();
    },
    pause: () => child?.signal("SIGSTOP"),
    resume: () => child?.signal("SIGCONT"),
    hasFailed: () => child?.hasExited() === true,
    history: () => readHistory(historyPath),
  };
}
