/**
 * Lifecycle actions: unregister, retire, recycle, reset, recover, stop, destroy, interrupt. The
 * table of actions says what is possible; preconditions of the caller come first, so that a report
 * always is about the state that the caller meant.
 */
import type { DecideContext, Decision } from "../shared/aggregate.ts";
import { epochIdOf } from "../shared/ids.ts";
import { type Refusal, refusalOf } from "../shared/refusal.ts";
import type { Preconditions, RuntimeCommand, RuntimeReply } from "./commands.ts";
import { type Draft, openDraft } from "./draft.ts";
import type { RuntimeEvent } from "./events.ts";
import { liveCount } from "./lanes.ts";
import { emitFence } from "./lease.ts";
import { emitOperationsTerminated } from "./operation-decisions.ts";
import {
  notRegistered,
  refused,
  refusedByTable,
  runEnded,
  runInFlight,
  runNotFound,
} from "./refusals.ts";
import { emptyReport, type Report } from "./report.ts";
import type { AbandonReason, RuntimeState } from "./state.ts";
import { type RuntimeAction, stateNameOf, verdictOf } from "./table.ts";

type CommandOf<Type extends RuntimeCommand["type"]> = Extract<
  RuntimeCommand,
  { readonly type: Type }
>;
type RuntimeDecision = Decision<RuntimeEvent, RuntimeReply>;

/** Lifecycle actions that answer a report. */
export type LifecycleCommand = CommandOf<
  "unregister_runtime" | "retire" | "recycle" | "reset" | "recover" | "stop" | "destroy"
>;

/** What the caller expected and did not meet; undefined when all holds. */
export function unmetPrecondition(
  state: RuntimeState,
  expected: Preconditions,
): Refusal | undefined {
  const { expectedEpochId, expectedState } = expected;
  if (expectedEpochId !== undefined && expectedEpochId !== state.epochId) {
    return refusalOf("EPOCH_MISMATCH", "The runtime is in another epoch; read it again", {
      expectedEpochId,
      epochId: state.epochId,
    });
  }
  const actual = stateNameOf(state);
  if (expectedState !== undefined && expectedState !== actual) {
    return refusalOf("STATE_MISMATCH", `The runtime is ${actual}; read it again`, {
      expectedState,
      state: actual,
    });
  }
  return undefined;
}

/** What the table lets an action do, with the refusals that hold for every action. */
function admitted(
  state: RuntimeState,
  action: RuntimeAction,
  fencesOnRequest: boolean,
): "go" | "no_op" | Refusal {
  const verdict = verdictOf(state, action);
  switch (verdict) {
    case "allow":
    case "fence":
      return "go";
    case "no_op":
      return "no_op";
    case "fence_on_request":
      return fencesOnRequest ? "go" : runInFlight(state);
    case "reject":
      return refusedByTable(state, "INVALID_STATE");
    default:
      return refusedByTable(state, verdict);
  }
}

/** The reason of an action as an optional member of its event. */
function because(command: { readonly reason?: string }): { readonly reason?: string } {
  return command.reason === undefined ? {} : { reason: command.reason };
}

/** Why the operations of an epoch end with it. */
const EPOCH_ROTATED = "epoch_rotated";

/** Gives up everything that is not over; answers how many inputs that were. */
function abandonAll(draft: Draft, reason: AbandonReason): number {
  const live = liveCount(draft.state());
  if (live > 0) draft.emit({ type: "queue_abandoned", reason });
  return live;
}

function retire(draft: Draft, command: CommandOf<"retire">): void {
  const isUnattached = draft.state().lease === null;
  const abandons = command.abandonIfUnattached && isUnattached;
  const inputsAbandoned = abandons ? abandonAll(draft, "retired") : 0;
  const inputsPendingDrain = liveCount(draft.state());
  draft.emit({ type: "runtime_retired", inputsAbandoned, inputsPendingDrain, ...because(command) });
}

function recover(draft: Draft, command: CommandOf<"recover">, context: DecideContext): void {
  const before = draft.state();
  if (command.fenceExecutor) emitFence(draft, context);
  const after = draft.state();
  emitOperationsTerminated(draft, EPOCH_ROTATED);
  draft.emit({
    type: "runtime_recovered",
    epochId: epochIdOf(context.freshId()),
    inputsRecovered: liveCount(after),
    inputsAbandoned: after.counts.abandoned - before.counts.abandoned,
    inputsRequeued: after.counts.queued - before.counts.queued,
    details: [],
    ...because(command),
  });
}

/** Fences the executor, if there is one, and gives up everything; answers how many inputs. */
function endWith(draft: Draft, reason: "stopped" | "destroyed", context: DecideContext): number {
  const before = draft.state().counts.abandoned;
  emitFence(draft, context, reason);
  abandonAll(draft, reason);
  emitOperationsTerminated(draft, reason);
  return draft.state().counts.abandoned - before;
}

function unregister(
  draft: Draft,
  command: CommandOf<"unregister_runtime">,
  context: DecideContext,
): void {
  if (command.fenceExecutor) emitFence(draft, context);
  const { lease } = draft.state();
  if (lease !== null) draft.emit({ type: "lease_released", generation: lease.generation });
  draft.emit({ type: "runtime_unregistered", ...because(command) });
}

/** Emits the events of an action that the table allows. */
function act(draft: Draft, command: LifecycleCommand, context: DecideContext): void {
  const reason = because(command);
  switch (command.type) {
    case "unregister_runtime":
      unregister(draft, command, context);
      return;
    case "retire":
      retire(draft, command);
      return;
    case "recycle":
      draft.emit({
        type: "runtime_recycled",
        inputsTransferred: liveCount(draft.state()),
        ...reason,
      });
      return;
    case "reset": {
      const inputsAbandoned = abandonAll(draft, "reset");
      emitOperationsTerminated(draft, EPOCH_ROTATED);
      const epochId = epochIdOf(context.freshId());
      draft.emit({ type: "runtime_reset", epochId, inputsAbandoned, ...reason });
      return;
    }
    case "recover":
      recover(draft, command, context);
      return;
    case "stop": {
      const inputsAbandoned = endWith(draft, "stopped", context);
      draft.emit({ type: "runtime_stopped", inputsAbandoned, ...reason });
      return;
    }
    case "destroy": {
      const inputsAbandoned = endWith(draft, "destroyed", context);
      draft.emit({ type: "runtime_destroyed", inputsAbandoned, ...reason });
    }
  }
}

/** The report of an action that changes nothing. */
function unchangedReport(state: RuntimeState, command: LifecycleCommand): Report {
  const report = emptyReport();
  return command.type === "retire" ? { ...report, inputsPendingDrain: liveCount(state) } : report;
}

/** Decides a lifecycle action. */
export function decideLifecycle(
  state: RuntimeState,
  command: LifecycleCommand,
  context: DecideContext,
): RuntimeDecision {
  if (state.registration !== "registered") return refused(notRegistered(state));
  const unmet = unmetPrecondition(state, command);
  if (unmet !== undefined) return refused(unmet);
  const fencesOnRequest =
    (command.type === "recover" || command.type === "unregister_runtime") && command.fenceExecutor;
  const outcome = admitted(state, command.type, fencesOnRequest);
  if (outcome === "no_op") return { kind: "answer", reply: unchangedReport(state, command) };
  if (outcome !== "go") return refused(outcome);
  const draft = openDraft(state, context);
  act(draft, command, context);
  return draft.commit();
}

/** Decides interrupt_run: the wish is recorded once, the executor ends the run. */
export function decideInterruptRun(
  state: RuntimeState,
  command: CommandOf<"interrupt_run">,
): RuntimeDecision {
  if (state.registration !== "registered") return refused(notRegistered(state));
  const outcome = admitted(state, "interrupt_run", false);
  const { run } = state;
  if (outcome !== "go" || run === null) {
    const refusal = typeof outcome === "string" ? undefined : outcome;
    return refused(refusal ?? refusedByTable(state, "NO_CURRENT_RUN"));
  }
  if (command.runId !== undefined && command.runId !== run.runId) {
    const ended = state.endedRuns.find(({ runId }) => runId === command.runId);
    return refused(ended === undefined ? runNotFound(state, command.runId) : runEnded(ended));
  }
  if (run.interruptedAt !== null) {
    return { kind: "answer", reply: { type: "interrupted", runId: run.runId } };
  }
  const { runId } = run;
  return { kind: "commit", events: [{ type: "run_interrupted", runId, ...because(command) }] };
}
