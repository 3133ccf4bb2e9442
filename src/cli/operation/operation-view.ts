/** Operations as people read them: a row of a table, all there is to know, an entry of the feed. */
import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type Completion,
  type Operation,
  OperationKind,
  type OperationOutcome,
  type OperationRegistry,
  OperationStatus,
} from "../../../gen/keelson/operation/v1/messages_pb.ts";
import { durationFromProto } from "../../rpc/codec/time.ts";
import {
  enumWord,
  formatAge,
  formatSpan,
  formatTimeAndAge,
  printable,
  shortened,
  yesNo,
} from "../client/format.ts";
import type { Cell, Colour, Column } from "../client/table.ts";

type Fact = readonly [string, Cell | undefined];

const TEXT_CHARACTERS_MAX = 100;

const STATUS_COLOURS: Readonly<Partial<Record<OperationStatus, Colour>>> = {
  [OperationStatus.RUNNING]: "green",
  [OperationStatus.RETIRING]: "yellow",
  [OperationStatus.FAILED]: "red",
  [OperationStatus.TERMINATED]: "red",
};

function statusCell(status: OperationStatus): Cell {
  const text = enumWord(OperationStatus, status);
  const colour = STATUS_COLOURS[status];
  return colour === undefined ? text : { text, colour };
}

/** How an operation ended, in a few words; empty while it has not. */
function outcomeText(outcome: OperationOutcome | undefined): string {
  const how = outcome?.outcome;
  switch (how?.case) {
    case "completed": {
      const { result, contentOmitted, resultBytes } = how.value;
      const text = contentOmitted ? `${resultBytes} bytes` : (result?.content ?? "");
      return `${result?.isError === true ? "error: " : ""}${text}`;
    }
    case "failed":
      return how.value.error;
    case "aborted":
    case "cancelled":
    case "terminated":
      return how.value.reason;
    default:
      return "";
  }
}

function outcomeCell(outcome: OperationOutcome | undefined): string {
  return shortened(outcomeText(outcome), TEXT_CHARACTERS_MAX);
}

function progressText({ progressPercent }: Operation): string {
  return progressPercent === undefined ? "-" : `${progressPercent} %`;
}

/** The columns of a list of operations. */
export const OPERATION_COLUMNS: readonly Column<Operation>[] = [
  { title: "OPERATION", cell: ({ operationId }) => printable(operationId) },
  { title: "NAME", cell: ({ displayName }) => printable(displayName) },
  { title: "KIND", cell: ({ kind }) => enumWord(OperationKind, kind) },
  { title: "STATUS", cell: ({ status }) => statusCell(status) },
  { title: "PROGRESS", align: "right", cell: progressText },
  { title: "AGE", align: "right", cell: ({ registeredAt }) => formatAge(registeredAt) },
  { title: "OUTCOME", cell: ({ outcome }) => outcomeCell(outcome) },
];

/** The columns of the feed of completions. */
export const COMPLETION_COLUMNS: readonly Column<Completion>[] = [
  { title: "SEQUENCE", align: "right", cell: ({ completionSequence }) => completionSequence },
  { title: "OPERATION", cell: ({ operationId }) => printable(operationId) },
  { title: "NAME", cell: ({ displayName }) => printable(displayName) },
  { title: "KIND", cell: ({ kind }) => enumWord(OperationKind, kind) },
  { title: "HOW", cell: ({ outcome }) => outcome?.outcome.case ?? "" },
  { title: "AGE", align: "right", cell: ({ completedAt }) => formatAge(completedAt) },
  { title: "OUTCOME", cell: ({ outcome }) => outcomeCell(outcome) },
];

/** An entry of the feed as one line. */
export function completionLine(completion: Completion): string {
  const { completionSequence, operationId, outcome } = completion;
  const how = outcome?.outcome.case ?? "";
  const text = outcomeCell(outcome);
  const end = text === "" ? how : `${how}: ${text}`;
  return `${completionSequence}  ${printable(operationId)}  ${end}`;
}

/** The result of an operation as text: its content, else its JSON; undefined when it has none. */
export function resultText({ outcome }: Operation): string | undefined {
  const how = outcome?.outcome;
  if (how?.case !== "completed") return undefined;
  const { content = "", structured } = how.value.result ?? {};
  if (content !== "" || structured === undefined) return content;
  return JSON.stringify(toJson(ValueSchema, structured));
}

function peerText({ peerReady, peerHandle }: Operation): string {
  if (!peerReady) return "";
  const { peerName = "", trustedPeer } = peerHandle ?? {};
  return printable(`${peerName} (${trustedPeer?.peerId ?? ""} at ${trustedPeer?.address ?? ""})`);
}

function elapsedText({ elapsed }: Operation): string {
  const spanMs = elapsed === undefined ? undefined : durationFromProto(elapsed);
  return spanMs === undefined ? "" : formatSpan(spanMs);
}

/** All there is to know about an operation. */
export function operationFacts(operation: Operation): readonly Fact[] {
  const { progressCount, progressPercent, watcherCount } = operation;
  const { completionSequence, startedAt, endedAt } = operation;
  const share = progressPercent === undefined ? "" : `, ${progressPercent} %`;
  return [
    ["operation", printable(operation.operationId)],
    ["name", printable(operation.displayName)],
    ["kind", enumWord(OperationKind, operation.kind)],
    ["status", statusCell(operation.status)],
    ["source", printable(operation.sourceLabel)],
    ["child runtime", printable(operation.childRuntimeId)],
    ["peer", peerText(operation)],
    ["progress", progressCount === 0n ? "" : `${progressCount} reports${share}`],
    ["watchers here", watcherCount === 0 ? "" : String(watcherCount)],
    ["outcome", outcomeCell(operation.outcome)],
    ["completion", completionSequence === 0n ? "" : completionSequence],
    ["in the registry", yesNo(operation.retained)],
    ["epoch", operation.epochId],
    ["registered", formatTimeAndAge(operation.registeredAt)],
    ["started", startedAt === undefined ? "" : formatTimeAndAge(startedAt)],
    ["ended", endedAt === undefined ? "" : formatTimeAndAge(endedAt)],
    ["elapsed", elapsedText(operation)],
  ];
}

/** The registry in a line. */
export function registryText(registry: OperationRegistry): string {
  const { active, operationLimit, retained, completedRetention, watermark, cursors } = registry;
  const { agentApplied = 0n, runtimeObserved = 0n, runtimeInjected = 0n } = cursors ?? {};
  return [
    `${active} of ${operationLimit} active`,
    `${retained} of ${completedRetention} ended kept`,
    `completions to ${watermark}`,
    `applied ${agentApplied}, observed ${runtimeObserved}, injected ${runtimeInjected}`,
  ].join("; ");
}
