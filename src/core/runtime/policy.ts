/**
 * The policy: what becomes of an input, by its kind, its handling mode and whether a run is in
 * flight. The table is versioned data and never changed: an admission stores a reference such as
 * `1/prompt/idle`, and a later version of the table is added beside the old one.
 */
import type { HandlingMode, Input, InputBody, InputKind } from "./input.ts";
import type { Lane } from "./state.ts";
import { FoldError } from "../shared/fold-error.ts";

/** What the policy says about an input. */
export interface PolicyDecision {
  readonly applyMode: "stage_run_start" | "stage_run_boundary" | "inject_now" | "ignore";
  readonly wakeMode: "wake_if_idle" | "none";
  readonly queueMode: "none" | "fifo" | "coalesce" | "supersede" | "priority";
  readonly consumePoint:
    | "on_accept"
    | "on_apply"
    | "on_run_start"
    | "on_run_complete"
    | "explicit_ack";
  readonly drainPolicy: "queue_next_turn" | "steer_batch" | "immediate" | "ignore";
  readonly routingDisposition: "queue" | "steer" | "immediate" | "drop";
  readonly recordTranscript: boolean;
  readonly emitOperatorContent: boolean;
  readonly policyVersion: number;
}

/** Whether a run is in flight at the admission. */
export type RuntimeActivity = "idle" | "running";

/** Rows that replace the row of the kind when the input carries a handling mode. */
type OverrideRow = "queue" | "steer" | "continuation_queue" | "continuation_steer";

type PolicyRow = InputKind | OverrideRow;

/** A row of the table: the decision for an idle runtime; a running one is never woken by it. */
type RowDecision = Omit<PolicyDecision, "policyVersion" | "emitOperatorContent">;

const TURN: RowDecision = {
  applyMode: "stage_run_start",
  wakeMode: "wake_if_idle",
  queueMode: "fifo",
  consumePoint: "on_run_complete",
  drainPolicy: "queue_next_turn",
  routingDisposition: "queue",
  recordTranscript: true,
};

const STEERING: RowDecision = {
  applyMode: "stage_run_boundary",
  wakeMode: "wake_if_idle",
  queueMode: "fifo",
  consumePoint: "on_run_complete",
  drainPolicy: "steer_batch",
  routingDisposition: "steer",
  recordTranscript: true,
};

const OPERATION: RowDecision = {
  applyMode: "ignore",
  wakeMode: "none",
  queueMode: "priority",
  consumePoint: "on_accept",
  drainPolicy: "ignore",
  routingDisposition: "drop",
  recordTranscript: false,
};

/** Version 1 of the table. */
const POLICY_TABLE_1 = {
  prompt: TURN,
  peer_message: TURN,
  peer_request: TURN,
  peer_response_terminal: TURN,
  flow_step: TURN,
  external_event: TURN,
  peer_response_progress: { ...STEERING, wakeMode: "none", queueMode: "coalesce" },
  continuation: { ...STEERING, recordTranscript: false },
  operation: OPERATION,
  queue: TURN,
  steer: STEERING,
  continuation_queue: { ...TURN, recordTranscript: false },
  continuation_steer: { ...STEERING, recordTranscript: false },
} as const satisfies Record<PolicyRow, RowDecision>;

/** Rows that a peer's request can have, and what its silent intent makes of them. */
const SILENCED_ROWS = ["peer_request", "queue", "steer"] as const satisfies readonly PolicyRow[];
const SILENCED: Pick<RowDecision, "applyMode" | "wakeMode"> = {
  applyMode: "stage_run_start",
  wakeMode: "none",
};

const CURRENT_VERSION = 1;
/** Ends the reference of a decision that a silent intent changed. */
const SILENT_MARK = "/silent";
const ACTIVITIES: readonly RuntimeActivity[] = ["idle", "running"];

/** The decisions of a row, by reference; `mark` tells references of the same row apart. */
function decisionsOf(row: string, decision: RowDecision, mark = ""): [string, PolicyDecision][] {
  return ACTIVITIES.map((activity) => [
    `${CURRENT_VERSION}/${row}/${activity}${mark}`,
    {
      ...decision,
      wakeMode: activity === "idle" ? decision.wakeMode : "none",
      emitOperatorContent: decision.recordTranscript,
      policyVersion: CURRENT_VERSION,
    },
  ]);
}

const DECISIONS: ReadonlyMap<string, PolicyDecision> = new Map([
  ...Object.entries<RowDecision>(POLICY_TABLE_1).flatMap(([row, it]) => decisionsOf(row, it)),
  ...SILENCED_ROWS.flatMap((row) =>
    decisionsOf(row, { ...POLICY_TABLE_1[row], ...SILENCED }, SILENT_MARK),
  ),
]);

/** Every reference that this build can resolve. */
export const POLICY_REFERENCES: readonly string[] = [...DECISIONS.keys()];

/** The decision that a stored reference stands for. Throws FoldError for an unknown one. */
export function policyOf(reference: string): PolicyDecision {
  const decision = DECISIONS.get(reference);
  if (decision === undefined) throw new FoldError(`unknown policy row ${reference}`);
  return decision;
}

/** The kind that the policy goes by; a peer message without convention is a message. */
export function kindOf(body: InputBody): InputKind {
  return body.type === "peer" ? `peer_${body.convention?.type ?? "message"}` : body.type;
}

/** The handling mode that an input carries itself, if it carries one. */
export function handlingModeOf(body: InputBody): HandlingMode | undefined {
  switch (body.type) {
    case "prompt":
    case "flow_step":
      return body.turnMetadata?.handlingMode;
    case "peer":
    case "external_event":
    case "continuation":
      return body.handlingMode;
    case "operation":
      return undefined;
  }
}

function overrideRow(kind: InputKind, mode: HandlingMode): OverrideRow {
  return kind === "continuation" ? `continuation_${mode}` : mode;
}

/**
 * The reference of the row for a kind and a handling mode. A handling mode decides alone, except on
 * the progress of a response, which always follows the row of its kind. A silent intent changes
 * when a peer's request is applied and that it wakes nobody, and nothing else.
 */
export function resolvePolicy(
  kind: InputKind,
  mode: HandlingMode | undefined,
  activity: RuntimeActivity,
  isSilent = false,
): string {
  const isOverridden = mode !== undefined && kind !== "peer_response_progress";
  const row = isOverridden ? overrideRow(kind, mode) : kind;
  return `${CURRENT_VERSION}/${row}/${activity}${isSilent ? SILENT_MARK : ""}`;
}

/** The lane of a decision; undefined for an input that is consumed on accept. */
export function laneOfPolicy(decision: PolicyDecision): Lane | undefined {
  if (decision.consumePoint === "on_accept") return undefined;
  return decision.routingDisposition === "steer" ? "steer" : "queue";
}

/**
 * Whether an admission sets the durable wake flag: when its row wakes, and when the input itself
 * steers, also while a run is in flight.
 */
export function wakesOnAdmission(input: Input, decision: PolicyDecision): boolean {
  return decision.wakeMode === "wake_if_idle" || handlingModeOf(input.body) === "steer";
}
