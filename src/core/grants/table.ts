/**
 * The grants of a session on one screen: what each command meets while the session is there and
 * once it is deleted, and the two small machines inside: the hold on a process, and a transfer.
 */
import type { Step } from "../shared/step.ts";
import type { GrantsCommand } from "./commands.ts";
import type { GrantsPhase, HoldStanding } from "./state.ts";

/**
 * What a command meets: `allow`, `no_op` (answered, nothing changes), or a refusal. What depends on
 * more than the phase is added by `decide`.
 */
export type GrantsVerdict = "allow" | "no_op" | "SESSION_DELETED";

/** The table of commands: command, phase, verdict. */
export const GRANTS_COMMANDS = {
  grant_handle: { open: "allow", deleted: "SESSION_DELETED" },
  revoke_handle: { open: "allow", deleted: "allow" },
  move_handles: { open: "allow", deleted: "SESSION_DELETED" },
  begin_transfer: { open: "allow", deleted: "SESSION_DELETED" },
  /** A deleted session answers a new one `deleted`, which is no refusal of the command. */
  accept_transfer: { open: "allow", deleted: "allow" },
  settle_transfer: { open: "allow", deleted: "allow" },
  delete_session: { open: "allow", deleted: "no_op" },
  confirm_holds: { open: "allow", deleted: "allow" },
  defer_work: { open: "allow", deleted: "allow" },
} as const satisfies Record<GrantsCommand["type"], Record<GrantsPhase, GrantsVerdict>>;

/** What moves a hold: grants that come and go, and answers of the process. */
export type HoldStepName = "first_handle" | "acquired" | "last_handle_gone" | "released";

/** A hold that is not there is `none`. */
export type HoldStateName = HoldStanding | "none";

/** The hold as a machine. A hold that is wanted again while it is let go gets a new mark. */
export const HOLD_STEPS = {
  first_handle: { from: ["none", "releasing"], to: "acquiring" },
  acquired: { from: ["acquiring"], to: "held" },
  last_handle_gone: { from: ["acquiring", "held"], to: "releasing" },
  released: { from: ["releasing"], to: "none" },
} as const satisfies Record<HoldStepName, Step<HoldStateName>>;

/** What moves a transfer to another session. */
export type TransferStepName = "transfer_begun" | "transfer_finished" | "transfer_rolled_back";

/** `left` and `returned` are the ends, of which nothing is kept. */
export type TransferStateName = "none" | "leaving" | "left" | "returned";

/** A transfer as its source sees it. */
export const TRANSFER_STEPS = {
  transfer_begun: { from: ["none"], to: "leaving" },
  transfer_finished: { from: ["leaving"], to: "left" },
  transfer_rolled_back: { from: ["leaving"], to: "returned" },
} as const satisfies Record<TransferStepName, Step<TransferStateName>>;

/** What the table says about a command in a phase. */
export function verdictOf(phase: GrantsPhase, command: GrantsCommand["type"]): GrantsVerdict {
  return GRANTS_COMMANDS[command][phase];
}
