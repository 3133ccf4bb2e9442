/** The decision on every command to a runtime; each rule stands in the file of its sub-machine. */
import type { DecideContext, Decision, RecordLookup } from "../shared/aggregate.ts";
import { refusalOf } from "../shared/refusal.ts";
import { decideIngest, ingestLookups } from "./admission.ts";
import { cancelLookups, decideCancelInputs } from "./cancel-inputs.ts";
import type { RuntimeCommand, RuntimeReply } from "./commands.ts";
import {
  decideAbortDrain,
  decideDrainExited,
  decideHostDrain,
  decideUpdatePeerIngress,
  withDrain,
} from "./drain.ts";
import type { RuntimeEvent } from "./events.ts";
import { decideIngestAndRun } from "./ingest-and-run.ts";
import { decideGrantLease, decideLapseLease, decideReleaseLease } from "./lease.ts";
import { decideInterruptRun, decideLifecycle } from "./lifecycle.ts";
import { decideOperation, operationLookups } from "./operation-decisions.ts";
import { withObservation } from "./operation-wake.ts";
import { notRegistered, refused, refusedByTable } from "./refusals.ts";
import { decideEnsure } from "./registration.ts";
import { decideCommitBoundary } from "./run-boundary.ts";
import {
  decideCancelRun,
  decideCompleteRun,
  decideFailRun,
  decideReleaseRun,
  decideTick,
} from "./run-end.ts";
import { decideAcknowledgeRun, decideAssignRun } from "./run-start.ts";
import { decideSetSilentIntents } from "./silent-intents.ts";
import type { RuntimeState } from "./state.ts";
import { verdictOf } from "./table.ts";
import { decideAnnounceTask, TASK_FAMILY } from "./task-announcement.ts";

/** First parts of the codes that only the server itself uses. */
export const RESERVED_FAMILIES: ReadonlySet<string | undefined> = new Set([
  "input",
  "run",
  "runtime",
  "topology",
  "executor",
  "operation",
  "drain",
  TASK_FAMILY,
]);

function decidePublish(
  state: RuntimeState,
  command: Extract<RuntimeCommand, { readonly type: "publish_event" }>,
): Decision<RuntimeEvent, RuntimeReply> {
  const { eventId, eventCode, payload, causationId, correlationId } = command;
  const [family] = eventCode.split(".", 1);
  // Wrong whatever the state.
  if (RESERVED_FAMILIES.has(family)) {
    const message = `The codes of the family ${family} are the server's own; choose another one`;
    return refused(refusalOf("EVENT_CODE_RESERVED", message, { eventCode }));
  }
  if (state.registration !== "registered") return refused(notRegistered(state));
  const verdict = verdictOf(state, "publish_event");
  if (verdict === "RUNTIME_DESTROYED") return refused(refusedByTable(state, verdict));
  const event: RuntimeEvent = {
    type: "event_published",
    eventId,
    eventCode,
    payload,
    ...(causationId === undefined ? {} : { causationId }),
    ...(correlationId === undefined ? {} : { correlationId }),
  };
  return { kind: "commit", events: [event] };
}

function decideCommand(
  state: RuntimeState,
  command: RuntimeCommand,
  context: DecideContext,
): Decision<RuntimeEvent, RuntimeReply> {
  switch (command.type) {
    case "ensure_runtime":
      return decideEnsure(state, command, context);
    case "ingest":
      return decideIngest(state, command, context);
    case "ingest_and_run":
      return decideIngestAndRun(state, command, context);
    case "unregister_runtime":
    case "retire":
    case "recycle":
    case "reset":
    case "recover":
    case "destroy":
    case "stop":
      return decideLifecycle(state, command, context);
    case "cancel_inputs":
      return decideCancelInputs(state, command, context);
    case "set_silent_intents":
      return decideSetSilentIntents(state, command);
    case "interrupt_run":
      return decideInterruptRun(state, command);
    case "publish_event":
      return decidePublish(state, command);
    case "announce_task":
      return decideAnnounceTask(state, command);
    case "grant_lease":
      return decideGrantLease(state, command);
    case "assign_run":
      return decideAssignRun(state, command, context);
    case "acknowledge_run":
      return decideAcknowledgeRun(state, command);
    case "commit_boundary":
      return decideCommitBoundary(state, command, context);
    case "complete_run":
      return decideCompleteRun(state, command, context);
    case "fail_run":
      return decideFailRun(state, command, context);
    case "cancel_run":
      return decideCancelRun(state, command, context);
    case "release_run":
      return decideReleaseRun(state, command, context);
    case "release_lease":
      return decideReleaseLease(state, command, context);
    case "lapse_lease":
      return decideLapseLease(state, command, context);
    case "update_peer_ingress":
      return decideUpdatePeerIngress(state, command);
    case "notify_drain_exited":
      return decideDrainExited(state, command, context);
    case "abort_drain":
      return decideAbortDrain(state, command, context);
    case "host_drain":
      return decideHostDrain(state, command, context);
    case "tick":
      return decideTick(state, command, context);
    default:
      return decideOperation(state, command, context);
  }
}

/**
 * Decides a command: events, an answer, a repetition or a refusal; a refusal changes nothing (R7).
 */
export function decide(
  state: RuntimeState,
  command: RuntimeCommand,
  context: DecideContext,
): Decision<RuntimeEvent, RuntimeReply> {
  const decision = decideCommand(state, command, context);
  return withDrain(state, withObservation(state, decision, context), context);
}

/** Records that must be looked up for a command because the state may have forgotten them. */
export function lookups(state: RuntimeState, command: RuntimeCommand): readonly RecordLookup[] {
  switch (command.type) {
    case "ingest":
      return ingestLookups(state, command);
    case "ingest_and_run":
      return ingestLookups(state, command.ingest);
    case "cancel_inputs":
      return cancelLookups(state, command);
    default:
      return operationLookups(state, command);
  }
}
