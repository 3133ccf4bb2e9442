/**
 * An executor's hold on the runtime, as a machine. Owns which lease event may follow which; must
 * not know runs. A pooled hold lasts for a run, a named one until it is released, lapses or is
 * fenced.
 */
import type { Step } from "../shared/step.ts";
import type { Lease } from "./state.ts";

/** `pooled`: granted with a run. `named`: the executor attached naming the runtime. */
export type LeaseStateName = "free" | "pooled" | "named";

/** Events of the lease; a grant is split by what it grants. */
export type LeaseStepName =
  | "pooled_lease_granted"
  | "named_lease_granted"
  | "lease_released"
  | "lease_lapsed"
  | "lease_fenced";

/** The machine: event, legal states before it, the state after it. */
export const LEASE_STEPS = {
  pooled_lease_granted: { from: ["free"], to: "pooled" },
  named_lease_granted: { from: ["free", "pooled"], to: "named" },
  lease_released: { from: ["pooled", "named"], to: "free" },
  lease_lapsed: { from: ["pooled", "named"], to: "free" },
  lease_fenced: { from: ["pooled", "named"], to: "free" },
} as const satisfies Record<LeaseStepName, Step<LeaseStateName>>;

/** The machine's state. */
export function leaseStateOf(lease: Lease | null): LeaseStateName {
  if (lease === null) return "free";
  return lease.named ? "named" : "pooled";
}
