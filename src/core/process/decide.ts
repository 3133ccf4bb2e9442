/** The decision on every command to a process; each rule stands in the file of its matter. */
import type { DecideContext, RecordLookup } from "../shared/aggregate.ts";
import { decideAppend, type ProcessDecision, replayLookups } from "./append.ts";
import { STATUS_OF_OUTPUT } from "./await-output.ts";
import {
  cancelKey,
  decideRequestAbandon,
  decideRequestCancel,
  terminalKey,
} from "./cancellation.ts";
import type { ProcessCommand } from "./commands.ts";
import { decideComplete } from "./completion.ts";
import { TERMINAL_EVENT_TYPES } from "./core-types.ts";
import { decideHold, decideReleaseHold } from "./holders.ts";
import { decideClaim, decideLapse, decideRelease } from "./lease.ts";
import {
  decideAffirm,
  decidePrune,
  decideRegister,
  decideSetExternalRef,
  decideSetWait,
} from "./record.ts";
import { decideReconcileAbandon } from "./recovery.ts";
import type { ProcessState } from "./state.ts";
import {
  decideAbortTask,
  decideCancelTask,
  decideReportTask,
  decideSettleTaskNotice,
  decideTransferTask,
} from "./task-decisions.ts";
import { ackLookups, decideAckWake, decideDeferWake, decideSettleWake } from "./wakes.ts";

/** Decides a command: events, an answer or a refusal; a refusal changes nothing (P8). */
export function decide(
  state: ProcessState,
  command: ProcessCommand,
  context: DecideContext,
): ProcessDecision {
  switch (command.type) {
    case "register_process":
      return decideRegister(state, command);
    case "append_event":
      return decideAppend(state, command, context);
    case "request_cancel":
      return decideRequestCancel(state, command, context);
    case "complete_process":
      return decideComplete(state, command, context);
    case "set_external_ref":
      return decideSetExternalRef(state, command);
    case "set_wait":
      return decideSetWait(state, command);
    case "request_abandon":
      return decideRequestAbandon(state, command, context);
    case "reconcile_abandon":
      return decideReconcileAbandon(state, context);
    case "claim_lease":
      return decideClaim(state, command);
    case "release_lease":
      return decideRelease(state, command, context);
    case "lapse_lease":
      return decideLapse(state, command, context);
    case "hold":
      return decideHold(state, command);
    case "release_hold":
      return decideReleaseHold(state, command, context);
    case "ack_wake":
      return decideAckWake(state, command, context);
    case "settle_wake":
      return decideSettleWake(state, command);
    case "defer_wake":
      return decideDeferWake(state, command, context);
    case "report_task":
      return decideReportTask(state, command);
    case "cancel_task":
      return decideCancelTask(state, command, context);
    case "abort_task":
      return decideAbortTask(state, context);
    case "settle_task_notice":
      return decideSettleTaskNotice(state, command);
    case "transfer_task":
      return decideTransferTask(state, command);
    case "prune_process":
      return decidePrune(state, command);
    case "affirm_process":
      return decideAffirm(state);
  }
}

/** Records that must be looked up for a command because the state may have forgotten them. */
export function lookups(state: ProcessState, command: ProcessCommand): readonly RecordLookup[] {
  switch (command.type) {
    case "append_event":
      return replayLookups(state, command.replayKey);
    case "request_cancel":
    case "cancel_task":
      return replayLookups(state, cancelKey(command.processId, command.reason));
    case "complete_process": {
      const eventType = TERMINAL_EVENT_TYPES[STATUS_OF_OUTPUT[command.output.type]];
      return replayLookups(state, terminalKey(command.processId, eventType));
    }
    case "release_hold": {
      const { processId, deletion } = command;
      if (deletion === undefined) return [];
      return replayLookups(state, cancelKey(processId, deletion.reason));
    }
    case "ack_wake":
      return ackLookups(state, command.sequence);
    default:
      return [];
  }
}
