/**
 * The detached wake: background operations that complete while nobody would look are told of by a
 * continuation, in the very commit that finds the runtime quiescent. One continuation tells of
 * everything that completed until a run takes it (O6, O7). Members of a mob report through their
 * own messages and wake nobody.
 */
import type { DecideContext, Decision } from "../shared/aggregate.ts";
import { type InputId, inputIdOf } from "../shared/ids.ts";
import type { RuntimeReply } from "./commands.ts";
import { openDraft } from "./draft.ts";
import type { RuntimeEvent } from "./events.ts";
import type { Input, InputBody } from "./input.ts";
import { liveCount } from "./lanes.ts";
import { endedOperations } from "./operation-fold.ts";
import { handlingModeOf, kindOf, resolvePolicy } from "./policy.ts";
import type { RuntimeState } from "./state.ts";

const CONTINUATION: InputBody = {
  type: "continuation",
  reason: "detached_background_op_completed",
  handlingMode: "steer",
};

/**
 * SHA-256 over the canonical form of every such continuation without id and creation time: they
 * all say the same.
 */
const CONTINUATION_HASH = "216844ed4422cbe38f0ff0dcd7d17155d4bf11559595ad014a2ef2543295546f";

/** Whether nothing is in hand: registered, idle or attached, and no input that is not over. */
export function isQuiescent(state: RuntimeState): boolean {
  return (
    state.registration === "registered" &&
    state.phase === "open" &&
    state.run === null &&
    liveCount(state) === 0
  );
}

/** The last continuation, while it still waits for a run. */
function waitingContinuation(state: RuntimeState): InputId | undefined {
  const { continuationId } = state.operations;
  if (continuationId === null) return undefined;
  return state.inputs.get(continuationId)?.state === "queued" ? continuationId : undefined;
}

/** The input that wakes an agent whose background operations have completed. */
export function detachedContinuation(inputId: InputId, createdAt: number): Input {
  return {
    inputId,
    createdAt,
    source: { type: "system" },
    durability: "derived",
    transcriptEligible: false,
    operatorEligible: false,
    body: CONTINUATION,
  };
}

function admissionOf(state: RuntimeState, input: Input): RuntimeEvent {
  return {
    type: "input_admitted",
    input,
    ordinal: state.ordinal + 1,
    policy: resolvePolicy(kindOf(input.body), handlingModeOf(input.body), "idle"),
    bodyHash: CONTINUATION_HASH,
    // Nothing in it needs an escape, so that this is the length of its canonical form too.
    payloadBytes: JSON.stringify(input).length,
    wakes: true,
  };
}

/** What is to follow on a state: completions are looked at, and told of where that is due. */
function observation(state: RuntimeState, context: DecideContext): readonly RuntimeEvent[] {
  const { watermark, backgroundWatermark, cursors } = state.operations;
  if (cursors.runtimeObserved === watermark) return [];
  const observed = { type: "completions_observed", throughSequence: watermark } as const;
  const isTold = backgroundWatermark <= cursors.runtimeInjected;
  const waiting = waitingContinuation(state);
  if (waiting !== undefined) return [isTold ? observed : { ...observed, continuationId: waiting }];
  if (!isQuiescent(state)) return [];
  if (isTold) return [observed];
  const continuationId = inputIdOf(context.freshId());
  const continuation = detachedContinuation(continuationId, context.now);
  return [admissionOf(state, continuation), { ...observed, continuationId }];
}

/** A decision, with what it means for completions that the runtime has not looked at. */
export function withObservation(
  state: RuntimeState,
  decision: Decision<RuntimeEvent, RuntimeReply>,
  context: DecideContext,
): Decision<RuntimeEvent, RuntimeReply> {
  if (decision.kind !== "commit") return decision;
  const { watermark, cursors } = state.operations;
  const isNews =
    cursors.runtimeObserved < watermark ||
    decision.events.some((event) => endedOperations(state.operations, event).length > 0);
  if (!isNews) return decision;
  const draft = openDraft(state, context);
  for (const event of decision.events) draft.emit(event);
  const following = observation(draft.state(), context);
  return following.length === 0
    ? decision
    : { kind: "commit", events: [...decision.events, ...following] };
}
