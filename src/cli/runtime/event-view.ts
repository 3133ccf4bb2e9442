/** Events of a runtime as lines: when, where in the history, what, and the facts that matter. */
import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  AbandonReason,
  type DrainEvent,
  DrainExitReason,
  DrainPhase,
  ExecutorChange,
  type ExecutorEvent,
  InputKind,
  InputLane,
  type InputLifecycleEvent,
  InputState,
  type OperationLifecycleEvent,
  RunFailureCause,
  type RunLifecycleEvent,
  type RuntimeEventEnvelope,
  RuntimeState,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { enumWord, formatTime, printable, shortened } from "../client/format.ts";
import type { Column } from "../client/table.ts";

const TEXT_CHARACTERS_MAX = 160;

function short(text: string): string {
  return shortened(text, TEXT_CHARACTERS_MAX);
}

function inputText({ inputId, change }: InputLifecycleEvent): string {
  const input = printable(inputId);
  switch (change.case) {
    case "accepted":
      return `${input} ${enumWord(InputKind, change.value.kind)}`;
    case "queued":
      return `${input} in the ${enumWord(InputLane, change.value.lane)} lane`;
    case "staged":
      return `${input} into run ${change.value.runId}`;
    case "applied":
      return `${input} under receipt ${change.value.boundarySequence} of ${change.value.runId}`;
    case "consumed":
      return change.value.runId === "" ? input : `${input} by run ${change.value.runId}`;
    case "superseded":
      return `${input} by ${printable(change.value.byInputId)}`;
    case "coalesced":
      return `${input} into ${printable(change.value.aggregateId)}`;
    case "abandoned": {
      const { reason, attempts, detail } = change.value;
      const more = detail === "" ? "" : `: ${short(detail)}`;
      return `${input} ${enumWord(AbandonReason, reason)} after ${attempts} attempts${more}`;
    }
    case "stateTransitioned": {
      const { fromState, toState, reason } = change.value;
      const states = `${enumWord(InputState, fromState)} -> ${enumWord(InputState, toState)}`;
      return `${input} ${states} (${printable(reason)})`;
    }
    case undefined:
      return input;
  }
}

function runText({ runId, change }: RunLifecycleEvent): string {
  switch (change.case) {
    case "started":
      return `${runId} with ${change.value.contributingInputIds.length} inputs`;
    case "boundaryCommitted": {
      const { receipt, steeredInputIds } = change.value;
      const joined = steeredInputIds.length === 0 ? "" : `, ${steeredInputIds.length} joined`;
      return `${runId} receipt ${receipt?.sequence ?? 0n}${joined}`;
    }
    case "failed": {
      const { cause, recoverable, error } = change.value;
      const how = `${enumWord(RunFailureCause, cause)}${recoverable ? "" : ", for good"}`;
      return `${runId} (${how})${error === "" ? "" : `: ${short(error)}`}`;
    }
    case "cancelled":
      return `${runId}${change.value.requeue ? ", inputs queued again" : ""}`;
    case "returned":
      return `${runId} ${change.value.releasedByExecutor ? "released" : "taken back"}`;
    case "acknowledged":
    case "completed":
    case undefined:
      return runId;
  }
}

function executorText(event: ExecutorEvent): string {
  const { change, executorId, generation, runId, reason } = event;
  const parts = [printable(executorId) || "-", `generation ${generation}`];
  if (change === ExecutorChange.INTERRUPT_REQUESTED) parts.push(`run ${runId}`);
  if (reason !== "") parts.push(short(reason));
  return parts.join(", ");
}

function drainText(event: DrainEvent): string {
  const { drainSequence, phase, executorId, exitReason, reason } = event;
  const parts = [`drain ${drainSequence} ${enumWord(DrainPhase, phase)}`];
  if (executorId !== "") parts.push(`at ${printable(executorId)}`);
  if (exitReason !== undefined) parts.push(enumWord(DrainExitReason, exitReason));
  if (reason !== "") parts.push(short(reason));
  return parts.join(", ");
}

function operationText({ operationId, change }: OperationLifecycleEvent): string {
  const name = printable(operationId);
  switch (change.case) {
    case "registered":
      return `${name} ${short(change.value.displayName)}`;
    case "peerReady":
      return `${name} ${short(change.value.peerHandle?.peerName ?? "")}`;
    case "progressed": {
      const { message, percent } = change.value;
      const share = percent === undefined ? "" : ` ${percent} %`;
      return `${name}${share}${message === "" ? "" : `: ${short(message)}`}`;
    }
    case "ended":
      return `${name} completion ${change.value.completionSequence}`;
    default:
      return name;
  }
}

/** What an event says beside its code. */
function eventText({ event }: RuntimeEventEnvelope): string {
  switch (event.case) {
    case "inputLifecycle":
      return inputText(event.value);
    case "runLifecycle":
      return runText(event.value);
    case "runtimeStateChange": {
      const { fromState, toState } = event.value;
      return `${enumWord(RuntimeState, fromState)} -> ${enumWord(RuntimeState, toState)}`;
    }
    case "topology": {
      const { epochId, reason } = event.value;
      return `epoch ${epochId}${reason === "" ? "" : `: ${short(reason)}`}`;
    }
    case "executor":
      return executorText(event.value);
    case "drain":
      return drainText(event.value);
    case "operationLifecycle":
      return operationText(event.value);
    case "publishedEvent": {
      const { payload } = event.value;
      return payload === undefined ? "" : short(JSON.stringify(toJson(ValueSchema, payload)));
    }
    case undefined:
      return "";
  }
}

/** An event as one line. */
export function eventLine(envelope: RuntimeEventEnvelope): string {
  const { time, revision, index, eventCode } = envelope;
  const place = `${revision}:${index}`.padEnd(8);
  const code = printable(eventCode).padEnd(26);
  return `${formatTime(time)}  ${place}  ${code}  ${eventText(envelope)}`.trimEnd();
}

/** The columns of events that would happen. */
export const PLANNED_COLUMNS: readonly Column<RuntimeEventEnvelope>[] = [
  { title: "EVENT", cell: ({ eventCode }) => printable(eventCode) },
  { title: "WHAT", cell: eventText },
];
