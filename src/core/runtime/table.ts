/**
 * The runtime on one screen: which action is possible in which situation and where it leads. Owns
 * the refusals that depend on nothing but the situation; `decide` adds those that depend on more.
 * Unregistered runtimes refuse everything but EnsureRuntime before this table is asked.
 */
import type { RefusalReason } from "../shared/refusal.ts";
import type { Step } from "../shared/step.ts";
import type { RuntimeEventType } from "./events.ts";
import type { RuntimePhase, RuntimeState, RuntimeStateName } from "./state.ts";

/** The observable states, with `draining` for a retired runtime whose run is still in flight. */
export type Situation = RuntimeStateName | "draining";

/** Actions whose possibility depends on the situation. */
export type RuntimeAction =
  | "ensure_runtime"
  | "ingest"
  | "retire"
  | "reset"
  | "recycle"
  | "recover"
  | "stop"
  | "destroy"
  | "unregister_runtime"
  | "cancel_inputs"
  | "set_silent_intents"
  | "interrupt_run"
  | "publish_event"
  | "register_operation"
  | "grant_lease";

/**
 * What an action meets: `allow`, `no_op` (answered, nothing changes), `fence` (an executor is cut
 * off first), `fence_on_request` (RUN_IN_FLIGHT unless the caller asks for it), `reject` (an
 * outcome, not an error), or a refusal.
 */
export type Verdict = "allow" | "no_op" | "fence" | "fence_on_request" | "reject" | RefusalReason;

/**
 * One cell: the verdict and the situation afterwards; `open` is idle, or attached under a lease.
 */
export interface ActionCell {
  readonly verdict: Verdict;
  readonly to: Situation | "same" | "open" | "unregistered";
}

const stay = (verdict: Verdict): ActionCell => ({ verdict, to: "same" });
const lead = (verdict: Verdict, to: ActionCell["to"]): ActionCell => ({ verdict, to });
const DESTROYED = stay("RUNTIME_DESTROYED");

/** The table of actions: action, situation, verdict and where it leads. */
export const RUNTIME_ACTIONS = {
  ensure_runtime: {
    idle: stay("allow"),
    attached: stay("allow"),
    running: stay("allow"),
    retired: stay("allow"),
    draining: stay("allow"),
    stopped: stay("allow"),
    destroyed: DESTROYED,
  },
  ingest: {
    idle: stay("allow"),
    attached: stay("allow"),
    running: stay("allow"),
    retired: stay("reject"),
    draining: stay("reject"),
    stopped: stay("reject"),
    destroyed: stay("reject"),
  },
  retire: {
    idle: lead("allow", "retired"),
    attached: lead("allow", "retired"),
    running: lead("allow", "draining"),
    retired: stay("no_op"),
    draining: stay("no_op"),
    stopped: stay("INVALID_STATE"),
    destroyed: DESTROYED,
  },
  reset: {
    idle: stay("allow"),
    attached: stay("allow"),
    running: stay("RUN_IN_FLIGHT"),
    retired: lead("allow", "open"),
    draining: stay("RUN_IN_FLIGHT"),
    stopped: lead("allow", "idle"),
    destroyed: DESTROYED,
  },
  recycle: {
    idle: stay("allow"),
    attached: stay("allow"),
    running: stay("RUN_IN_FLIGHT"),
    retired: lead("allow", "open"),
    draining: stay("RUN_IN_FLIGHT"),
    stopped: stay("INVALID_STATE"),
    destroyed: DESTROYED,
  },
  recover: {
    idle: stay("allow"),
    attached: stay("allow"),
    running: lead("fence_on_request", "idle"),
    retired: stay("allow"),
    draining: lead("fence_on_request", "retired"),
    stopped: stay("INVALID_STATE"),
    destroyed: DESTROYED,
  },
  stop: {
    idle: lead("fence", "stopped"),
    attached: lead("fence", "stopped"),
    running: lead("fence", "stopped"),
    retired: lead("fence", "stopped"),
    draining: lead("fence", "stopped"),
    stopped: stay("no_op"),
    destroyed: DESTROYED,
  },
  destroy: {
    idle: lead("fence", "destroyed"),
    attached: lead("fence", "destroyed"),
    running: lead("fence", "destroyed"),
    retired: lead("fence", "destroyed"),
    draining: lead("fence", "destroyed"),
    stopped: lead("fence", "destroyed"),
    destroyed: DESTROYED,
  },
  unregister_runtime: {
    idle: lead("allow", "unregistered"),
    attached: lead("allow", "unregistered"),
    running: lead("fence_on_request", "unregistered"),
    retired: lead("allow", "unregistered"),
    draining: lead("fence_on_request", "unregistered"),
    stopped: lead("allow", "unregistered"),
    destroyed: stay("no_op"),
  },
  cancel_inputs: {
    idle: stay("allow"),
    attached: stay("allow"),
    running: stay("allow"),
    retired: stay("allow"),
    draining: stay("allow"),
    stopped: stay("no_op"),
    destroyed: stay("no_op"),
  },
  set_silent_intents: {
    idle: stay("allow"),
    attached: stay("allow"),
    running: stay("allow"),
    retired: stay("allow"),
    draining: stay("allow"),
    stopped: stay("allow"),
    destroyed: DESTROYED,
  },
  interrupt_run: {
    idle: stay("NO_CURRENT_RUN"),
    attached: stay("NO_CURRENT_RUN"),
    running: stay("allow"),
    retired: stay("NO_CURRENT_RUN"),
    draining: stay("allow"),
    stopped: stay("NO_CURRENT_RUN"),
    destroyed: DESTROYED,
  },
  publish_event: {
    idle: stay("allow"),
    attached: stay("allow"),
    running: stay("allow"),
    retired: stay("allow"),
    draining: stay("allow"),
    stopped: stay("allow"),
    destroyed: DESTROYED,
  },
  register_operation: {
    idle: stay("allow"),
    attached: stay("allow"),
    running: stay("allow"),
    retired: stay("allow"),
    draining: stay("allow"),
    stopped: stay("INVALID_STATE"),
    destroyed: DESTROYED,
  },
  grant_lease: {
    idle: lead("allow", "attached"),
    attached: stay("allow"),
    running: stay("allow"),
    retired: stay("allow"),
    draining: stay("allow"),
    stopped: stay("INVALID_STATE"),
    destroyed: DESTROYED,
  },
} as const satisfies Record<RuntimeAction, Record<Situation, ActionCell>>;

/** Events that change or keep the phase; the others do not look at it. */
type PhaseEventType = Extract<
  RuntimeEventType,
  | "runtime_retired"
  | "runtime_recycled"
  | "runtime_reset"
  | "runtime_recovered"
  | "runtime_stopped"
  | "runtime_destroyed"
>;

/** The stored phase as a machine: event, legal phases before it, the phase after it. */
export const PHASE_STEPS = {
  runtime_retired: { from: ["open"], to: "retired" },
  runtime_recycled: { from: ["open", "retired"], to: "open" },
  runtime_reset: { from: ["open", "retired", "stopped"], to: "open" },
  runtime_recovered: { from: ["open", "retired"], to: "same" },
  runtime_stopped: { from: ["open", "retired"], to: "stopped" },
  runtime_destroyed: { from: ["open", "retired", "stopped"], to: "destroyed" },
} as const satisfies Record<PhaseEventType, Step<RuntimePhase>>;

/** The observable state: a retired runtime stays `retired` also with a run in flight. */
export function stateNameOf(state: RuntimeState): RuntimeStateName {
  if (state.phase !== "open") return state.phase;
  if (state.run !== null) return "running";
  return state.lease === null ? "idle" : "attached";
}

/** The column of the table that a state belongs to. */
export function situationOf(state: RuntimeState): Situation {
  const name = stateNameOf(state);
  return name === "retired" && state.run !== null ? "draining" : name;
}

/** What the table says about an action in a state. */
export function verdictOf(state: RuntimeState, action: RuntimeAction): Verdict {
  return RUNTIME_ACTIONS[action][situationOf(state)].verdict;
}
