/** An input as people read it: a row of a table, and all there is to know with its history. */
import { toJson } from "@bufbuild/protobuf";
import {
  InputDurability,
  InputKind,
  InputLane,
  InputSchema,
  InputState,
  type InputStatus,
  type InputTransition,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { enumWord, formatAge, formatTime, formatTimeAndAge, printable } from "../client/format.ts";
import type { Cell, Colour, Column } from "../client/table.ts";

const STATE_COLOURS: Readonly<Partial<Record<InputState, Colour>>> = {
  [InputState.STAGED]: "cyan",
  [InputState.APPLIED_PENDING_CONSUMPTION]: "cyan",
  [InputState.CONSUMED]: "green",
  [InputState.SUPERSEDED]: "dim",
  [InputState.COALESCED]: "dim",
  [InputState.ABANDONED]: "red",
};

function stateCell({ state }: InputStatus): Cell {
  const text = enumWord(InputState, state);
  const colour = STATE_COLOURS[state];
  return colour === undefined ? text : { text, colour };
}

/** The columns of a list of inputs. */
export const INPUT_COLUMNS: readonly Column<InputStatus>[] = [
  { title: "INPUT", cell: ({ inputId }) => printable(inputId) },
  { title: "STATE", cell: stateCell },
  { title: "KIND", cell: ({ kind }) => enumWord(InputKind, kind) },
  { title: "LANE", cell: ({ lane }) => enumWord(InputLane, lane) },
  { title: "ATTEMPTS", align: "right", cell: ({ attemptCount }) => attemptCount },
  { title: "KEY", cell: ({ idempotencyKey }) => printable(idempotencyKey) || "-" },
  { title: "RUN", cell: ({ lastRunId }) => lastRunId || "-" },
  { title: "AGE", align: "right", cell: ({ createdAt }) => formatAge(createdAt) },
];

/** The columns of an input's history. */
export const HISTORY_COLUMNS: readonly Column<InputTransition>[] = [
  { title: "TIME", cell: ({ time }) => formatTime(time) },
  { title: "REVISION", align: "right", cell: ({ revision }) => revision },
  { title: "FROM", cell: ({ fromState }) => enumWord(InputState, fromState) },
  { title: "TO", cell: ({ toState }) => enumWord(InputState, toState) },
  { title: "WHY", cell: ({ reason }) => printable(reason) },
];

/** Everything about an input but its history and its end. */
export function inputFacts(status: InputStatus): readonly (readonly [string, Cell | undefined])[] {
  const { input, nextAttemptTime, lastBoundarySequence } = status;
  return [
    ["input", printable(status.inputId)],
    ["state", stateCell(status)],
    ["kind", enumWord(InputKind, status.kind)],
    ["lane", enumWord(InputLane, status.lane)],
    ["durability", enumWord(InputDurability, status.durability)],
    ["attempts", status.attemptCount],
    ["next attempt", nextAttemptTime === undefined ? undefined : formatTime(nextAttemptTime)],
    ["idempotency key", printable(status.idempotencyKey)],
    ["supersession key", printable(status.supersessionKey)],
    ["correlation", printable(status.correlationId)],
    ["last run", status.lastRunId],
    ["last receipt", lastBoundarySequence],
    ["admitted", `at revision ${status.admittedRevision}, ${formatTimeAndAge(status.createdAt)}`],
    ["updated", formatTimeAndAge(status.updatedAt)],
    ["size", `${status.payloadBytes} bytes`],
    ["content", input === undefined ? undefined : JSON.stringify(toJson(InputSchema, input))],
  ];
}
