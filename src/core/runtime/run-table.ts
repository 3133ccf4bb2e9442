/**
 * The run in flight, as a machine. Owns which run event may follow which; must not know leases or
 * inputs. At most one run is in flight (R3); any write of the executor acknowledges it.
 */
import type { Step } from "../shared/step.ts";
import type { RuntimeEventType } from "./events.ts";
import type { Run } from "./state.ts";

/** `assigned`: handed to an executor that has not shown yet that it holds the run. */
export type RunStateName = "none" | "assigned" | "acknowledged";

type RunEventType = Extract<RuntimeEventType, `run_${string}`>;

/** The machine: event, legal states before it, the state after it. */
export const RUN_STEPS = {
  run_started: { from: ["none"], to: "assigned" },
  run_acknowledged: { from: ["assigned"], to: "acknowledged" },
  boundary_committed: { from: ["assigned", "acknowledged"], to: "acknowledged" },
  run_interrupted: { from: ["assigned", "acknowledged"], to: "same" },
  run_completed: { from: ["acknowledged"], to: "none" },
  run_failed: { from: ["assigned", "acknowledged"], to: "none" },
  run_cancelled: { from: ["assigned", "acknowledged"], to: "none" },
  run_returned: { from: ["assigned", "acknowledged"], to: "none" },
} as const satisfies Record<RunEventType | "boundary_committed", Step<RunStateName>>;

/** The machine's state. */
export function runStateOf(run: Run | null): RunStateName {
  if (run === null) return "none";
  return run.acknowledged ? "acknowledged" : "assigned";
}
