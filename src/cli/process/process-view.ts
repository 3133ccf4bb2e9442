/** A process and its events as people read them. */
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type Process,
  ProcessDisposition,
  type ProcessEvent,
  type ProcessOutput,
  ProcessState,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import {
  enumWord,
  formatAge,
  formatTime,
  formatTimeAndAge,
  printable,
  shortened,
  yesNo,
} from "../client/format.ts";
import type { Cell, Colour, Column } from "../client/table.ts";

type Fact = readonly [string, Cell | undefined];

const PAYLOAD_CHARACTERS = 100;

const STATE_COLOURS: Readonly<Partial<Record<ProcessState, Colour>>> = {
  [ProcessState.RUNNING]: "green",
  [ProcessState.FAILED]: "red",
  [ProcessState.CANCELLED]: "yellow",
  [ProcessState.ABANDONED]: "red",
};

/** The state of a process as a word with its colour. */
function stateCell(state: ProcessState): Cell {
  const text = enumWord(ProcessState, state);
  const colour = STATE_COLOURS[state];
  return colour === undefined ? text : { text, colour };
}

/** JSON as one line. */
function jsonText(value: Value | undefined): string {
  const json: JsonValue = value === undefined ? null : toJson(ValueSchema, value);
  return printable(JSON.stringify(json));
}

function holderText({ lease }: Process): string {
  return lease?.owner === undefined ? "-" : printable(lease.owner.ownerId);
}

/** The columns of a list of processes. */
export const PROCESS_COLUMNS: readonly Column<Process>[] = [
  { title: "PROCESS", cell: ({ processId }) => printable(processId) },
  { title: "STATE", cell: ({ state }) => stateCell(state) },
  { title: "KIND", cell: ({ identity }) => printable(identity?.kind ?? "") },
  { title: "LABEL", cell: ({ identity }) => printable(identity?.label ?? "") },
  { title: "HELD BY", cell: holderText },
  { title: "EVENTS", align: "right", cell: ({ lastSequence }) => lastSequence },
  { title: "AGE", align: "right", cell: ({ createdAt }) => formatAge(createdAt) },
];

/** The columns of a list of events. */
export const EVENT_COLUMNS: readonly Column<ProcessEvent>[] = [
  { title: "SEQUENCE", align: "right", cell: ({ sequence }) => sequence },
  { title: "TIME", cell: ({ occurredAt }) => formatTime(occurredAt) },
  { title: "TYPE", cell: ({ eventType }) => printable(eventType) },
  { title: "PAYLOAD", cell: ({ payload }) => shortened(jsonText(payload), PAYLOAD_CHARACTERS) },
];

/** An event as one line. */
export function eventLine({ sequence, occurredAt, eventType, payload }: ProcessEvent): string {
  const content = shortened(jsonText(payload), PAYLOAD_CHARACTERS);
  return `${formatTime(occurredAt)}  ${sequence}  ${printable(eventType)}  ${content}`;
}

/** What a process left, in words and, where there is one, with its value. */
export function outputTexts({ output }: ProcessOutput): {
  readonly summary: string;
  readonly value?: string;
} {
  switch (output.case) {
    case "success":
      return { summary: "completed", value: jsonText(output.value.value) };
    case "failure": {
      const { failureClass, code, message } = output.value;
      return { summary: `failed: ${printable(`${failureClass}/${code} ${message}`.trim())}` };
    }
    case "cancelled":
      return { summary: `cancelled: ${printable(output.value.message)}` };
    case "abandoned":
      return { summary: "abandoned" };
    case undefined:
      return { summary: "ended" };
  }
}

function wishFacts({ cancelRequest, abandonRequest }: Process): readonly Fact[] {
  const cancel =
    cancelRequest && `${formatTimeAndAge(cancelRequest.requestedAt)} ${cancelRequest.reason}`;
  const abandon =
    abandonRequest &&
    `${formatTimeAndAge(abandonRequest.requestedAt)} by ${abandonRequest.requestedBy}`;
  return [
    ["cancel wished", cancel && printable(cancel.trimEnd())],
    ["abandon wished", abandon && printable(abandon)],
  ];
}

function endFacts({ end }: Process): readonly Fact[] {
  if (end?.output === undefined) return [];
  const { summary, value } = outputTexts(end.output);
  return [
    ["ended", formatTimeAndAge(end.endedAt)],
    ["outcome", summary],
    ["value", value],
  ];
}

/** All there is to know about a process. */
export function processFacts(process: Process): readonly Fact[] {
  const { identity, lease, externalRef, wait } = process;
  const labels = Object.entries(process.labels).map(([name, value]) => `${name}=${value}`);
  const holder = lease?.owner && `${lease.owner.ownerId}/${lease.owner.incarnationId}`;
  return [
    ["process", printable(process.processId)],
    ["state", stateCell(process.state)],
    ["kind", printable(identity?.kind ?? "")],
    ["label", printable(identity?.label ?? "")],
    ["disposition", enumWord(ProcessDisposition, process.disposition)],
    ["claimable", yesNo(process.claimable)],
    ["held by", holder && printable(holder)],
    ["generation", process.generation],
    ["labels", printable(labels.toSorted().join(" "))],
    ["environment", printable(process.envRef)],
    ["wakes", printable(process.wakeRuntimeId)],
    ["events", process.lastSequence],
    ["waits for", wait && printable(`${wait.eventType} (${wait.ordinal})`)],
    ["outside", externalRef && printable(`${externalRef.backend}:${externalRef.externalId}`)],
    ...wishFacts(process),
    ["created", formatTimeAndAge(process.createdAt)],
    ["updated", formatTimeAndAge(process.updatedAt)],
    ["revision", process.revision],
    ["hash", process.registrationHash],
    ...endFacts(process),
  ];
}
