// The judge of a simulation over runtimes. It follows the journal by rules of its own, not by the
// fold that is tested, and compares what clients and executors were told with what is stored.
import type { RuntimeEvent } from "../../../src/core/runtime/events.ts";
import { rangesHold } from "../../../src/core/runtime/ordinal-ranges.ts";
import type { StoredCommit } from "../../../src/engine/ports.ts";
import {
  followSidelines,
  judgeSidelineAnswer,
  judgeSidelines,
  judgeSidelinesAtRest,
  noSidelines,
  type TrueSidelines,
} from "./runtime-sidelines.ts";
import { storedMarks, storedRuntimeEvents } from "./runtime-codec.ts";
import type { RuntimeAnswer, RuntimeHistory } from "./runtime-history.ts";

type Blame = (violation: string) => void;

/** A runtime as the journal tells it. */
interface TrueRuntime {
  readonly head: number;
  /** Owner of each idempotency key. */
  readonly owners: Map<string, string>;
  /** In the order of admission, each with its revision. */
  readonly admitted: Map<string, number>;
  /** Inputs that are over, with how. */
  readonly over: Map<string, string>;
  /** Receipts by run and sequence. */
  readonly receipts: Map<string, readonly string[]>;
  readonly endedRuns: Map<string, string>;
  readonly startedRuns: Map<string, readonly string[]>;
  readonly sidelines: TrueSidelines;
  generation: number;
  holder: string | undefined;
  run: { readonly runId: string; readonly staged: Set<string>; sequence: number } | undefined;
}

type EventOf<Type extends RuntimeEvent["type"]> = Extract<RuntimeEvent, { readonly type: Type }>;

function admit(
  truth: TrueRuntime,
  event: EventOf<"input_admitted">,
  revision: number,
  blame: Blame,
): void {
  const { inputId, idempotencyKey } = event.input;
  if (truth.admitted.has(inputId)) blame(`input ${inputId} was admitted twice`);
  if (event.ordinal !== truth.admitted.size + 1) blame(`ordinal ${event.ordinal} is wrong`);
  truth.admitted.set(inputId, revision);
  if (idempotencyKey === undefined) return;
  if (truth.owners.has(idempotencyKey)) blame(`key ${idempotencyKey} was admitted twice`);
  truth.owners.set(idempotencyKey, inputId);
}

function finish(truth: TrueRuntime, inputIds: Iterable<string>, how: string, blame: Blame): void {
  for (const inputId of inputIds) {
    const before = truth.over.get(inputId);
    if (before !== undefined) blame(`input ${inputId} was ${how} after it was ${before}`);
    if (!truth.admitted.has(inputId)) blame(`input ${inputId} was ${how} but never admitted`);
    truth.over.set(inputId, how);
  }
}

/** What waited is cancelled; what a run has, or what is over, is not. */
function cancel(truth: TrueRuntime, event: EventOf<"inputs_cancelled">, blame: Blame): void {
  const cancelled = [...truth.admitted.keys()].filter((_, index) => {
    return rangesHold(event.ordinals, index + 1);
  });
  for (const inputId of cancelled) {
    if (truth.run?.staged.has(inputId)) blame(`input ${inputId} was cancelled under its run`);
  }
  finish(truth, cancelled, "cancelled", blame);
}

function start(truth: TrueRuntime, event: EventOf<"run_started">, blame: Blame): void {
  if (truth.run) blame(`run ${event.runId} started while ${truth.run.runId} was in flight`);
  if (event.generation !== truth.generation || truth.holder === undefined) {
    blame(`run ${event.runId} started under an old fence`);
  }
  for (const inputId of event.inputIds) {
    if (truth.over.has(inputId)) blame(`input ${inputId} was staged after it was over`);
  }
  truth.startedRuns.set(event.runId, event.inputIds);
  truth.run = { runId: event.runId, staged: new Set(event.inputIds), sequence: 0 };
}

/** The run in flight, which an executor's event must be about. */
function current(truth: TrueRuntime, runId: string, blame: Blame): TrueRuntime["run"] {
  if (truth.run?.runId === runId && truth.holder !== undefined) return truth.run;
  blame(`run ${runId} was written to by somebody who does not hold it`);
  return undefined;
}

function bound(truth: TrueRuntime, event: EventOf<"boundary_committed">, blame: Blame): void {
  const run = current(truth, event.runId, blame);
  if (!run) return;
  if (event.sequence !== run.sequence) blame(`receipt ${event.runId}/${event.sequence}: a gap`);
  if (event.receiptOrdinal !== truth.receipts.size + 1) blame("receipts are not counted right");
  run.sequence += 1;
  truth.receipts.set(`${event.runId}/${event.sequence}`, event.inputIds);
  for (const inputId of event.inputIds) {
    if (!run.staged.delete(inputId)) blame(`input ${inputId} was applied but not staged`);
  }
  finish(truth, event.inputIds, "consumed", blame);
  for (const inputId of event.steered) run.staged.add(inputId);
}

function end(
  truth: TrueRuntime,
  event: Extract<RuntimeEvent, { readonly type: `run_${string}`; readonly bodyHash: string }>,
  blame: Blame,
): void {
  if (!current(truth, event.runId, blame)) return;
  truth.endedRuns.set(event.runId, event.type);
  truth.run = undefined;
  if (event.type === "run_failed") finish(truth, event.abandoned, "abandoned", blame);
}

function follow(truth: TrueRuntime, event: RuntimeEvent, revision: number, blame: Blame): void {
  if (followSidelines(truth.sidelines, event, revision, blame)) return;
  switch (event.type) {
    case "input_admitted":
      admit(truth, event, revision, blame);
      return;
    case "inputs_cancelled":
      cancel(truth, event, blame);
      return;
    case "input_superseded":
      finish(truth, [event.inputId], "superseded", blame);
      return;
    case "input_coalesced":
      finish(truth, [event.inputId], "coalesced", blame);
      return;
    case "lease_granted":
      if (truth.holder !== undefined) blame(`two holders under generation ${event.generation}`);
      if (event.generation <= truth.generation) blame(`generation ${event.generation} came again`);
      truth.generation = event.generation;
      truth.holder = event.incarnationId;
      return;
    case "lease_released":
    case "lease_lapsed":
      if (truth.run) blame(`the lease of ${truth.run.runId} went away under the run`);
      truth.holder = undefined;
      return;
    case "run_started":
      start(truth, event, blame);
      return;
    case "boundary_committed":
      bound(truth, event, blame);
      return;
    case "run_completed":
    case "run_failed":
    case "run_returned":
      end(truth, event, blame);
      return;
    case "run_acknowledged":
      current(truth, event.runId, blame);
      return;
    case "runtime_registered":
    case "runtime_configured":
      return undefined;
    default:
      blame(`${event.type} was never asked for`);
      return;
  }
}

/** Commands that a dispatcher sends again when it sees that they are still to be done. */
const UNNAMED: ReadonlySet<string> = new Set(["assign_run", "lapse_lease", "host_drain"]);

/** Follows the commits of one runtime and notes every contradiction. */
function followTruth(
  runtimeId: string,
  commits: readonly StoredCommit[],
  blame: Blame,
): TrueRuntime {
  const truth: TrueRuntime = {
    head: commits.length,
    owners: new Map(),
    admitted: new Map(),
    over: new Map(),
    receipts: new Map(),
    endedRuns: new Map(),
    startedRuns: new Map(),
    sidelines: noSidelines(),
    generation: 0,
    holder: undefined,
    run: undefined,
  };
  const done = new Set<string>();
  for (const [index, commit] of commits.entries()) {
    const place = `${runtimeId}@${commit.revision}`;
    if (commit.revision !== index + 1) blame(`${place}: the journal has a gap`);
    for (const { command, actor = "" } of storedMarks(commit)) {
      if (UNNAMED.has(command)) continue;
      if (done.has(actor)) blame(`${place}: ${actor} was done twice`);
      done.add(actor);
    }
    const blameHere: Blame = (violation) => {
      blame(`${place}: ${violation}`);
    };
    for (const event of storedRuntimeEvents(commit)) {
      follow(truth, event, commit.revision, blameHere);
    }
    judgeSidelines(truth.sidelines, blameHere);
  }
  if (truth.run) blame(`${runtimeId}: run ${truth.run.runId} was never finished`);
  judgeSidelinesAtRest(truth.sidelines, (violation) => {
    blame(`${runtimeId}: ${violation}`);
  });
  for (const inputId of truth.admitted.keys()) {
    if (!truth.over.has(inputId)) blame(`${runtimeId}: input ${inputId} was never finished`);
  }
  return truth;
}

/** What is wrong with what the caller of a cancellation was told. */
function judgeCancelled(
  { command, reply, revision }: RuntimeAnswer,
  truth: TrueRuntime,
): string | undefined {
  if (command.type !== "cancel_inputs" || reply.type !== "inputs_cancelled") return undefined;
  const { answer } = reply;
  if (answer.type === "suffix") {
    const inputIds = [...truth.admitted.keys()];
    const spared = inputIds.find((inputId, index) => {
      return rangesHold(reply.ordinals, index + 1) && truth.over.get(inputId) !== "cancelled";
    });
    return spared === undefined ? undefined : `cancelled ${spared}, which is not`;
  }
  if (answer.type !== "targets" || command.selection.type !== "targets") return undefined;
  const { targets } = command.selection;
  for (const [index, outcome] of answer.outcomes.entries()) {
    const target = targets[index];
    const key = target !== undefined && "idempotencyKey" in target ? target.idempotencyKey : "";
    const owner = truth.owners.get(key) ?? "";
    if (outcome.type === "not_found") {
      if ((truth.admitted.get(owner) ?? Infinity) < revision) return `does not find ${owner}`;
      continue;
    }
    if (outcome.inputId !== owner) return `names ${outcome.inputId}, the key leads to ${owner}`;
    const isCancelled = truth.over.get(owner) === "cancelled";
    const isTold = outcome.type === "cancelled" || outcome.type === "already_cancelled";
    if (isTold && !isCancelled) return `cancelled ${owner}, which is not`;
    if (outcome.type === "already_completed" && isCancelled) return `has ${owner} completed`;
  }
  return undefined;
}

/** What is wrong with an answer; `undefined` when nothing is. */
function judgeAnswer(answer: RuntimeAnswer, truth: TrueRuntime): string | undefined {
  const { command, reply, revision } = answer;
  if (revision > truth.head) return "was acknowledged and is lost";
  if (command.type === "ingest_and_run" && reply.type === "run_taken") {
    const { inputId } = command.ingest.input;
    const started = truth.startedRuns.get(reply.run.runId);
    if (started?.join() !== inputId) return "took a run that is not stored so";
  }
  if (command.type === "ingest" && reply.type === "ingested") {
    const { outcome } = reply;
    const owner = truth.owners.get(command.input.idempotencyKey ?? "");
    if (outcome.type === "rejected") return "was rejected for no reason";
    const told = outcome.type === "accepted" ? outcome.header.inputId : outcome.existingId;
    if (told !== owner) return `names ${told}, but the key leads to ${owner}`;
  }
  if (command.type === "commit_boundary" && reply.type === "boundary") {
    const { runId, sequence } = reply.receipt;
    const stored = truth.receipts.get(`${runId}/${sequence}`);
    if (stored?.join() !== command.inputIds.join()) return "has a receipt that is not stored";
  }
  if (command.type === "complete_run" || command.type === "fail_run") {
    const wanted = command.type === "complete_run" ? "run_completed" : "run_failed";
    if (truth.endedRuns.get(command.runId) !== wanted) return "ended a run that did not end so";
  }
  return judgeCancelled(answer, truth) ?? judgeSidelineAnswer(answer, truth.sidelines);
}

/** Nobody who looks after an answer was given may see less than that answer rests on. */
function judgeOrder(history: RuntimeHistory): string[] {
  const answers = [...history.answers, ...history.looks].toSorted((left, right) => {
    return left.answeredAt - right.answeredAt;
  });
  const looks = history.looks.toSorted((left, right) => left.askedAt - right.askedAt);
  const seen = new Map<string, number>();
  const violations: string[] = [];
  let next = 0;
  for (const { runtimeId, revision, askedAt } of looks) {
    for (let before = answers[next]; before && before.answeredAt < askedAt; ) {
      seen.set(before.runtimeId, Math.max(seen.get(before.runtimeId) ?? 0, before.revision));
      next += 1;
      before = answers[next];
    }
    const least = seen.get(runtimeId) ?? 0;
    if (revision < least) violations.push(`${runtimeId}: saw ${revision} after ${least}`);
  }
  return violations;
}

/** Everything that is wrong; empty when nothing is. */
export function judgeRuntimes(
  history: RuntimeHistory,
  journal: ReadonlyMap<string, readonly StoredCommit[]>,
): readonly string[] {
  const violations = [...history.surprises, ...judgeOrder(history)];
  const truths = new Map<string, TrueRuntime>();
  for (const [runtimeId, commits] of journal) {
    const blame: Blame = (violation) => violations.push(violation);
    truths.set(runtimeId, followTruth(runtimeId, commits, blame));
  }
  for (const answer of history.answers) {
    const truth = truths.get(answer.runtimeId);
    const wrong = truth ? judgeAnswer(answer, truth) : "is of an unknown runtime";
    if (wrong !== undefined) violations.push(`${JSON.stringify(answer)} ${wrong}`);
  }
  return violations;
}
