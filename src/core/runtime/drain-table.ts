/**
 * The drain as a machine, and when one is wanted. Owns which drain event may follow which; must not
 * know leases or inputs.
 *   P1  at most one drain is active, and an active one has a mode
 *   P2  a drain runs at exactly one executor incarnation, and none else is told of it
 *   P3  no drain is active where the table of desired modes wants none
 */
import type { Step } from "../shared/step.ts";
import type { DrainMode, DrainPhase } from "./drain-state.ts";
import type { RuntimeStateName } from "./state.ts";

/** Events of the drain; an exit is split by whether it is tried again by itself. */
export type DrainStepName =
  | "drain_started"
  | "drain_spawned"
  | "drain_exited"
  | "drain_exited_respawnable"
  | "drain_aborted";

/** The machine: event, legal phases before it, the phase after it. */
export const DRAIN_STEPS = {
  drain_started: { from: ["inactive", "exited_respawnable", "stopped"], to: "starting" },
  drain_spawned: { from: ["starting"], to: "running" },
  drain_exited: { from: ["starting", "running"], to: "stopped" },
  drain_exited_respawnable: { from: ["starting", "running"], to: "exited_respawnable" },
  drain_aborted: { from: ["starting", "running", "exited_respawnable"], to: "stopped" },
} as const satisfies Record<DrainStepName, Step<DrainPhase>>;

/** Whether a runtime is to be kept reachable without an executor of its own. */
export type KeepAlive = "kept_alive" | "not_kept_alive";

/** The drain that a runtime with a peer endpoint is to have; without one it is to have none. */
export const DESIRED_DRAIN_MODES = {
  idle: { kept_alive: "persistent_host", not_kept_alive: "none" },
  attached: { kept_alive: "attached_session", not_kept_alive: "attached_session" },
  running: { kept_alive: "attached_session", not_kept_alive: "attached_session" },
  retired: { kept_alive: "none", not_kept_alive: "none" },
  stopped: { kept_alive: "none", not_kept_alive: "none" },
  destroyed: { kept_alive: "none", not_kept_alive: "none" },
} as const satisfies Record<RuntimeStateName, Record<KeepAlive, DrainMode | "none">>;
