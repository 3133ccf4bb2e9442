/**
 * Admission: whether an input is taken in and as what. The order of the checks is part of the
 * contract: duplicates first, whatever happened to the runtime since (R8); then intake, durability,
 * handling mode, room in the queue; a rejected input changes nothing and claims no key (R7).
 */
import type { DecideContext, Decision, RecordLookup } from "../shared/aggregate.ts";
import { epochIdOf, type RuntimeId } from "../shared/ids.ts";
import { type Refusal, refusalOf } from "../shared/refusal.ts";
import type { IngestCommand, IngestOutcome, RejectReason, RuntimeReply } from "./commands.ts";
import type { RuntimeEvent } from "./events.ts";
import type { Input, InputBody, InputKind } from "./input.ts";
import { findHeader } from "./input-target.ts";
import {
  handlingModeOf,
  kindOf,
  laneOfPolicy,
  policyOf,
  resolvePolicy,
  wakesOnAdmission,
} from "./policy.ts";
import { inputLookup, INPUTS_CLASS, keyLookup } from "./record-codec.ts";
import { registrationOf } from "./registration.ts";
import { isSilenced } from "./silent-intents.ts";
import type { InputHeader, RuntimeState } from "./state.ts";
import { queuedWithKey, supersessionEvents } from "./supersession.ts";
import { stateNameOf, verdictOf } from "./table.ts";

type IngestDecision = Decision<RuntimeEvent, RuntimeReply>;

/** How long a caller that met a full queue should wait before another try. */
const QUEUE_FULL_RETRY_MS = 1_000;

/** Kinds that must not be derived, whatever their source. */
const NEVER_DERIVED: readonly InputKind[] = [
  "prompt",
  "flow_step",
  "peer_request",
  "peer_response_terminal",
];

function answered(outcome: IngestOutcome): IngestDecision {
  return { kind: "answer", reply: { type: "ingested", outcome } };
}

function rejected(input: Input, reason: RejectReason): IngestDecision {
  return answered({ type: "rejected", inputId: input.inputId, reason });
}

/** The refusal that a rejection is to callers who want more than the admission. */
export function inputRejected(runtimeId: RuntimeId, reason: RejectReason): Refusal {
  const { type: rejection, ...facts } = reason;
  const message = `The input was rejected: ${rejection}`;
  return refusalOf("INPUT_REJECTED", message, { runtimeId, rejection, ...facts });
}

/** Whether a body is explicitly or by its kind not derivable; a message without convention is. */
function isNeverDerived(body: InputBody): boolean {
  if (body.type === "peer" && body.convention?.type === "message") return true;
  return NEVER_DERIVED.includes(kindOf(body));
}

/** Why the durability of an input does not fit its source or kind; undefined when it does. */
function durabilityViolation(input: Input): string | undefined {
  if (input.durability !== "derived") return undefined;
  const source = input.source.type;
  if (source === "operator" || source === "peer" || source === "external") {
    return `an input from ${source} is external ingress and cannot be derived`;
  }
  return isNeverDerived(input.body)
    ? `an input of kind ${kindOf(input.body)} cannot be derived`
    : undefined;
}

/** Why the handling mode of an input is not allowed; undefined when it is. */
function handlingModeViolation(body: InputBody): string | undefined {
  const isProgress = body.type === "peer" && body.convention?.type === "response_progress";
  return isProgress && body.handlingMode !== undefined
    ? "the progress of a response follows its own policy and carries no handling mode"
    : undefined;
}

/** Keys that must be looked up because the state may have forgotten them. */
export function ingestLookups(
  state: RuntimeState,
  command: IngestCommand,
): readonly RecordLookup[] {
  if (state.registration === "none") return [];
  const { inputId, idempotencyKey } = command.input;
  if (idempotencyKey !== undefined && state.keys.has(idempotencyKey)) return [];
  const lookups: RecordLookup[] = [];
  if (idempotencyKey !== undefined) {
    lookups.push({ recordClass: INPUTS_CLASS, lookup: keyLookup(idempotencyKey) });
  }
  if (!command.inputIdIsFresh && !state.inputs.has(inputId)) {
    lookups.push({ recordClass: INPUTS_CLASS, lookup: inputLookup(inputId) });
  }
  return lookups;
}

/** The earlier input that this one repeats, by key and then by id, live or forgotten. */
function existingInput(
  state: RuntimeState,
  input: Input,
  context: DecideContext,
): InputHeader | undefined {
  const { inputId, idempotencyKey } = input;
  const byKey = idempotencyKey === undefined ? undefined : { idempotencyKey };
  return (byKey && findHeader(state, byKey, context)) ?? findHeader(state, { inputId }, context);
}

/** Why the runtime or the input itself stands against an admission; undefined when nothing does. */
function rejectionOf(state: RuntimeState, input: Input): RejectReason | undefined {
  if (verdictOf(state, "ingest") === "reject") {
    return { type: "not_ready", state: stateNameOf(state) };
  }
  const durability = durabilityViolation(input);
  if (durability !== undefined) return { type: "durability_violation", detail: durability };
  const mode = handlingModeViolation(input.body);
  return mode === undefined ? undefined : { type: "peer_handling_mode_invalid", detail: mode };
}

function queueFull(limit: number, queued: number): Refusal {
  const refusal = refusalOf(
    "QUEUE_FULL",
    `The runtime holds ${queued} queued inputs and takes at most ${limit}; try again later`,
    { queueLimit: limit, queued },
  );
  return { ...refusal, retryAfterMs: QUEUE_FULL_RETRY_MS };
}

/** The events of an admission that nothing stands against. */
function admissionEvents(
  state: RuntimeState,
  command: IngestCommand,
  queueLimit: number,
): readonly RuntimeEvent[] | Refusal {
  const { input, bodyHash, payloadBytes } = command;
  const kind = kindOf(input.body);
  const activity = state.run === null ? "idle" : "running";
  const isSilent = isSilenced(state, input.body);
  const policy = resolvePolicy(kind, handlingModeOf(input.body), activity, isSilent);
  const decision = policyOf(policy);
  const isQueued = laneOfPolicy(decision) !== undefined;
  const replaced = isQueued ? queuedWithKey(state, kind, input.supersessionKey) : [];
  const { queued } = state.counts;
  if (isQueued && queued - replaced.length >= queueLimit) return queueFull(queueLimit, queued);
  // Members in the order of their names, as they are stored: so the text is made fastest.
  const admitted: RuntimeEvent = {
    bodyHash,
    input,
    ordinal: state.ordinal + 1,
    payloadBytes,
    policy,
    type: "input_admitted",
    wakes: !command.withoutWake && !isSilent && wakesOnAdmission(input, decision),
  };
  return [admitted, ...supersessionEvents(input, decision, replaced)];
}

/** Decides an ingest. A runtime nobody ensured is refused, or registered on the fly when asked. */
export function decideIngest(
  state: RuntimeState,
  command: IngestCommand,
  context: DecideContext,
): IngestDecision {
  const { input } = command;
  const isRegistered = state.registration === "registered";
  if (!isRegistered && !command.ensure) {
    return {
      kind: "refuse",
      refusal: refusalOf(
        "RUNTIME_NOT_REGISTERED",
        "The runtime is not registered; call EnsureRuntime or ingest with ensure",
        { runtimeId: command.runtimeId },
      ),
    };
  }
  const existing = existingInput(state, input, context);
  if (existing !== undefined) {
    return answered({
      type: "deduplicated",
      inputId: input.inputId,
      existingId: existing.inputId,
      sameContent: existing.bodyHash === command.bodyHash,
    });
  }
  const rejection = rejectionOf(state, input);
  if (rejection !== undefined) return rejected(input, rejection);
  const registration = isRegistered
    ? undefined
    : registrationOf(state, command.runtimeId, {}, command.defaults, () =>
        epochIdOf(context.freshId()),
      );
  const config = registration?.config ?? state.config;
  const events = admissionEvents(state, command, config.queueLimit);
  if ("reason" in events) return { kind: "refuse", refusal: events };
  return {
    kind: "commit",
    events: registration === undefined ? events : [registration, ...events],
  };
}
