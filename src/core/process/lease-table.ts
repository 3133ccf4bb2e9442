/** A worker's hold on a process, as a machine. Owns which lease event may follow which. */
import type { Step } from "../shared/step.ts";

/** `terminal_event` stands for the event that ends the process and the hold with it. */
type ProcessLeaseStepName =
  | "process_lease_claimed"
  | "process_lease_extended"
  | "process_lease_released"
  | "process_lease_lapsed"
  | "terminal_event";

/** The machine: event, legal states before it, the state after it. */
export const PROCESS_LEASE_STEPS = {
  process_lease_claimed: { from: ["free"], to: "leased" },
  process_lease_extended: { from: ["leased"], to: "leased" },
  process_lease_released: { from: ["leased"], to: "free" },
  process_lease_lapsed: { from: ["leased"], to: "free" },
  terminal_event: { from: ["leased", "free"], to: "terminal" },
} as const satisfies Record<ProcessLeaseStepName, Step<"free" | "leased" | "terminal">>;
