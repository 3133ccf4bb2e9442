/**
 * The reply to a command, read from the events that were committed for it. The same function
 * answers a repeated call from the commit of the first one, so it finds the call's own events among
 * those of a whole commit: by input id, run id and body.
 */
import type { EventPosition } from "../shared/aggregate.ts";
import { FoldError } from "../shared/fold-error.ts";
import { cancelReply } from "./cancel-inputs.ts";
import { acceptedHeader, admittedHeader } from "./input-header.ts";
import type { RuntimeCommand, RuntimeReply, StartedRun } from "./commands.ts";
import type { RuntimeEvent, RuntimeEventType } from "./events.ts";
import { answerOperation } from "./operation-decisions.ts";
import { receiptOf } from "./receipt.ts";
import { type Report, reportOf } from "./report.ts";
import type { InputHeader } from "./state.ts";

type EventOf<Type extends RuntimeEventType> = Extract<RuntimeEvent, { readonly type: Type }>;
type CommandOf<Type extends RuntimeCommand["type"]> = Extract<
  RuntimeCommand,
  { readonly type: Type }
>;
type ReportAction = CommandOf<
  "unregister_runtime" | "retire" | "recycle" | "reset" | "recover" | "destroy" | "stop"
>["type"];

/** The event that reports each lifecycle action. */
const REPORTING = {
  unregister_runtime: "runtime_unregistered",
  retire: "runtime_retired",
  recycle: "runtime_recycled",
  reset: "runtime_reset",
  recover: "runtime_recovered",
  destroy: "runtime_destroyed",
  stop: "runtime_stopped",
} as const satisfies Record<ReportAction, RuntimeEventType>;

function find<Type extends RuntimeEventType>(
  events: readonly RuntimeEvent[],
  type: Type,
  matches: (event: EventOf<Type>) => boolean = () => true,
): EventOf<Type> {
  const isWanted = (event: RuntimeEvent): event is EventOf<Type> => event.type === type;
  const found = events.filter(isWanted).find(matches);
  if (found === undefined) throw new FoldError(`the commit holds no ${type} of this call`);
  return found;
}

function startedRun(event: EventOf<"run_started">): StartedRun {
  return { runId: event.runId, generation: event.generation, inputIds: event.inputIds };
}

function answerComplete(
  command: CommandOf<"complete_run">,
  events: readonly RuntimeEvent[],
): RuntimeReply {
  const { runId, nextRunId } = find(events, "run_completed", (event) => {
    return event.runId === command.runId && event.bodyHash === command.bodyHash;
  });
  if (nextRunId === undefined) return { type: "run_ended", runId };
  const next = find(events, "run_started", (event) => event.runId === nextRunId);
  return { type: "run_ended", runId, next: startedRun(next) };
}

function answerBoundary(
  command: CommandOf<"commit_boundary">,
  events: readonly RuntimeEvent[],
  at: EventPosition,
): RuntimeReply {
  const event = find(events, "boundary_committed", (candidate) => {
    return candidate.runId === command.runId && candidate.bodyHash === command.bodyHash;
  });
  return { type: "boundary", receipt: receiptOf(event, at), steered: event.steered };
}

function answerReport(type: ReportAction, events: readonly RuntimeEvent[]): Report {
  const report = reportOf(find(events, REPORTING[type]));
  if (report === undefined) throw new FoldError(`${REPORTING[type]} holds no report`);
  return report;
}

/** A call repeated by its request id may carry a fresh input id; the first one's is the answer. */
function repeatedHeader(events: readonly RuntimeEvent[], at: EventPosition): InputHeader {
  return admittedHeader(find(events, "input_admitted"), at);
}

function answerIngest(
  command: CommandOf<"ingest">,
  events: readonly RuntimeEvent[],
  at: EventPosition,
): RuntimeReply {
  const { inputId } = command.input;
  const header = acceptedHeader(inputId, events, at) ?? repeatedHeader(events, at);
  return { type: "ingested", outcome: { type: "accepted", header } };
}

/** The reply to a command whose events are committed. */
export function answer(
  command: RuntimeCommand,
  events: readonly RuntimeEvent[],
  at: EventPosition,
): RuntimeReply {
  switch (command.type) {
    case "ensure_runtime": {
      const created = events.some((event) => event.type === "runtime_registered");
      return { type: "ensured", created };
    }
    case "ingest":
      return answerIngest(command, events, at);
    case "ingest_and_run": {
      const run = startedRun(find(events, "run_started"));
      return { type: "run_taken", header: repeatedHeader(events, at), run };
    }
    case "unregister_runtime":
    case "retire":
    case "recycle":
    case "reset":
    case "recover":
    case "destroy":
    case "stop":
      return answerReport(command.type, events);
    case "cancel_inputs":
      return cancelReply(find(events, "inputs_cancelled"));
    case "set_silent_intents": {
      const { intents } = find(events, "silent_intents_set");
      return { type: "silent_intents_set", intents };
    }
    case "interrupt_run":
      return { type: "interrupted", runId: find(events, "run_interrupted").runId };
    case "publish_event":
    case "announce_task":
      return { type: "published", eventId: find(events, "event_published").eventId };
    case "grant_lease":
      return { type: "lease", generation: find(events, "lease_granted").generation };
    case "assign_run":
      return { type: "assigned", run: startedRun(find(events, "run_started")) };
    case "acknowledge_run":
      return { type: "acknowledged" };
    case "commit_boundary":
      return answerBoundary(command, events, at);
    case "complete_run":
      return answerComplete(command, events);
    case "fail_run":
    case "cancel_run":
      return { type: "run_ended", runId: command.runId };
    case "release_run":
    case "release_lease":
    case "lapse_lease":
      return { type: "released", released: true };
    case "update_peer_ingress":
      return {
        type: "ingress_updated",
        spawned: events.some((event) => event.type === "drain_started"),
      };
    case "notify_drain_exited":
    case "abort_drain":
      return { type: "drain_ended", ended: true };
    case "host_drain":
      return { type: "drain_hosted", hosted: true };
    case "tick":
      return { type: "ticked", at: at.at };
    default:
      return answerOperation(command, events);
  }
}
