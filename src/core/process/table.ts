/**
 * The process on one screen: which action is possible in which situation and where it leads. Owns
 * the refusals that depend on nothing but the situation; `decide` adds those that depend on more.
 */
import type { ProcessCommand } from "./commands.ts";
import type { ProcessState } from "./state.ts";

/** `free`: live and nobody holds its lease. `leased`: live and held. */
export type ProcessSituation = "unregistered" | "free" | "leased" | "terminal" | "pruned";

/** Actions are the commands. */
export type ProcessAction = ProcessCommand["type"];

/**
 * What an action meets: `allow`, `no_op` (answered, nothing changes), `same_only` (answered when it
 * repeats what is there, else refused), `holder_only` (only for whoever holds the lease), or a
 * refusal.
 */
type ProcessVerdict = "allow" | "no_op" | "same_only" | "holder_only" | TableRefusal;

/** Refusals that depend on nothing but the situation. */
export type TableRefusal = "PROCESS_NOT_FOUND" | "NO_LONGER_RETAINED" | "PROCESS_TERMINAL";

/** One cell: the verdict and the situation afterwards. */
export interface ProcessCell {
  readonly verdict: ProcessVerdict;
  readonly to: ProcessSituation | "same";
}

const stay = (verdict: ProcessVerdict): ProcessCell => ({ verdict, to: "same" });
const lead = (verdict: ProcessVerdict, to: ProcessSituation): ProcessCell => ({ verdict, to });

const UNKNOWN = stay("PROCESS_NOT_FOUND");
const PRUNED = stay("NO_LONGER_RETAINED");
const ENDED = stay("PROCESS_TERMINAL");
/** Allowed as long as the process is known, whatever became of it. */
const KNOWN = {
  unregistered: UNKNOWN,
  free: stay("allow"),
  leased: stay("allow"),
  terminal: stay("allow"),
  pruned: PRUNED,
};
/** What the server does by itself: answered everywhere, so that a late one does no harm. */
const INTERNAL = { ...KNOWN, unregistered: stay("no_op"), pruned: stay("no_op") };

/** The table of actions: action, situation, verdict and where it leads. */
export const PROCESS_ACTIONS = {
  register_process: {
    unregistered: lead("allow", "free"),
    free: stay("same_only"),
    leased: stay("same_only"),
    terminal: stay("same_only"),
    pruned: PRUNED,
  },
  append_event: KNOWN,
  request_cancel: KNOWN,
  complete_process: {
    unregistered: UNKNOWN,
    free: lead("allow", "terminal"),
    leased: lead("holder_only", "terminal"),
    terminal: stay("same_only"),
    pruned: PRUNED,
  },
  set_external_ref: KNOWN,
  set_wait: { ...KNOWN, leased: stay("holder_only"), terminal: ENDED },
  request_abandon: { ...KNOWN, terminal: ENDED },
  reconcile_abandon: {
    unregistered: stay("no_op"),
    free: lead("allow", "terminal"),
    leased: stay("no_op"),
    terminal: stay("no_op"),
    pruned: stay("no_op"),
  },
  claim_lease: {
    unregistered: UNKNOWN,
    free: lead("allow", "leased"),
    leased: stay("holder_only"),
    terminal: ENDED,
    pruned: PRUNED,
  },
  release_lease: {
    unregistered: UNKNOWN,
    free: stay("no_op"),
    leased: lead("allow", "free"),
    terminal: stay("no_op"),
    pruned: PRUNED,
  },
  lapse_lease: {
    unregistered: stay("no_op"),
    free: stay("no_op"),
    leased: lead("allow", "free"),
    terminal: stay("no_op"),
    pruned: stay("no_op"),
  },
  hold: KNOWN,
  release_hold: { ...KNOWN, pruned: stay("allow") },
  ack_wake: KNOWN,
  settle_wake: INTERNAL,
  defer_wake: INTERNAL,
  report_task: { ...KNOWN, terminal: stay("no_op") },
  cancel_task: { ...KNOWN, terminal: stay("no_op") },
  abort_task: {
    unregistered: stay("no_op"),
    free: lead("allow", "terminal"),
    leased: lead("allow", "terminal"),
    terminal: stay("no_op"),
    pruned: stay("no_op"),
  },
  settle_task_notice: INTERNAL,
  transfer_task: KNOWN,
  affirm_process: { ...KNOWN, unregistered: stay("no_op"), pruned: stay("allow") },
  prune_process: {
    unregistered: UNKNOWN,
    free: stay("no_op"),
    leased: stay("no_op"),
    terminal: lead("allow", "pruned"),
    pruned: stay("no_op"),
  },
} as const satisfies Record<ProcessAction, Record<ProcessSituation, ProcessCell>>;

/** The column of the table that a state belongs to. */
export function situationOf(state: ProcessState): ProcessSituation {
  if (state.registration === null) return "unregistered";
  if (state.prunedAt !== null) return "pruned";
  if (state.end !== null) return "terminal";
  return state.lease === null ? "free" : "leased";
}

/** What the table says about an action in a state. */
export function verdictOf(state: ProcessState, action: ProcessAction): ProcessVerdict {
  return PROCESS_ACTIONS[action][situationOf(state)].verdict;
}
