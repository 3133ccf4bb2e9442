/**
 * Taking an input in and running it at once, in the hands of the caller: one commit admits the
 * input, grants the lease where the caller has none yet, and starts the run. The caller is an
 * executor like any other from then on: fenced by the generation, and gone when its lease lapses.
 */
import type { DecideContext, Decision } from "../shared/aggregate.ts";
import { runIdOf } from "../shared/ids.ts";
import { refusalOf } from "../shared/refusal.ts";
import { decideIngest, inputRejected } from "./admission.ts";
import type { RuntimeCommand, RuntimeReply } from "./commands.ts";
import { openDraft } from "./draft.ts";
import type { RuntimeEvent } from "./events.ts";
import { headerOf, liveCount } from "./lanes.ts";
import { holdsLease } from "./lease.ts";
import { inputsActive, leaseHeld, refused, runInFlight } from "./refusals.ts";
import type { RuntimeState } from "./state.ts";

type IngestAndRunCommand = Extract<RuntimeCommand, { readonly type: "ingest_and_run" }>;
type RuntimeDecision = Decision<RuntimeEvent, RuntimeReply>;

/** The refusal for an input that is not taken in, from the outcome that Ingest would have. */
function notTakenIn(command: IngestAndRunCommand, reply: RuntimeReply): RuntimeDecision {
  const outcome = reply.type === "ingested" ? reply.outcome : undefined;
  if (outcome?.type === "rejected") {
    return refused(inputRejected(command.ingest.runtimeId, outcome.reason));
  }
  if (outcome?.type !== "deduplicated") throw new TypeError(`Answered with ${reply.type}`);
  const { inputId, existingId, sameContent } = outcome;
  return refused(
    refusalOf("INPUT_ALREADY_ADMITTED", "The input is known already; a run takes only a new one", {
      runtimeId: command.ingest.runtimeId,
      inputId,
      existingId,
      sameContent: String(sameContent),
    }),
  );
}

/** What stands against a run of a caller's own; undefined when nothing does. */
function hindrance(state: RuntimeState, command: IngestAndRunCommand): RuntimeDecision | undefined {
  if (state.run !== null) return refused(runInFlight(state));
  if (liveCount(state) > 0) return refused(inputsActive(state, liveCount(state)));
  const isHeldElsewhere = state.lease !== null && !holdsLease(state, command);
  return isHeldElsewhere ? refused(leaseHeld(state)) : undefined;
}

/** Decides ingest_and_run. */
export function decideIngestAndRun(
  state: RuntimeState,
  command: IngestAndRunCommand,
  context: DecideContext,
): RuntimeDecision {
  const { ingest, executorId, incarnationId, ttlMs } = command;
  const isKnown = state.registration === "registered" || ingest.ensure;
  const admission = decideIngest(state, ingest, context);
  if (admission.kind === "answer") return notTakenIn(command, admission.reply);
  const hindered = isKnown ? hindrance(state, command) : undefined;
  if (hindered !== undefined) return hindered;
  if (admission.kind !== "commit") return admission;
  const draft = openDraft(state, context);
  for (const event of admission.events) draft.emit(event);
  const { inputId } = ingest.input;
  const { kind, state: inputState } = headerOf(draft.state(), inputId);
  if (inputState !== "queued") {
    const message = "An input of this kind is consumed on accept and never run; use Ingest";
    return refused(refusalOf("INPUT_NOT_RUNNABLE", message, { kind }));
  }
  const { lease } = draft.state();
  const generation = lease?.generation ?? draft.state().generation + 1;
  if (lease === null) {
    const granted = { generation, executorId, incarnationId, ttlMs, named: false } as const;
    draft.emit({ type: "lease_granted", ...granted });
  }
  const runId = runIdOf(context.freshId());
  draft.emit({ type: "run_started", runId, generation, inputIds: [inputId], taken: true });
  draft.emit({ type: "run_acknowledged", runId });
  return draft.commit();
}
