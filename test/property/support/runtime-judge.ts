// The judge of a simulation over runtimes. It follows the journal by rules of its own, not by the
// fold that is tested, and compares what clients and executors were told with what is stored.
import type { RuntimeEvent } from "../../../src/core/runtime/events.ts";
import type { StoredCommit } from "../../../src/engine/ports.ts";
import { storedMarks, storedRuntimeEvents } from "./runtime-codec.ts";
import type { RuntimeAnswer, RuntimeHistory } from "./runtime-history.ts";

type Blame = (violation: string) => void;

/** A runtime as the journal tells it. */
interface TrueRuntime {
  readonly head: number;
  /** Owner of each idempotency key. */
  readonly owners: Map<string, string>;
  readonly admitted: Set<string>;
  /** Inputs that are over, with how. */
  readonly over: Map<string, string>;
  /** Receipts by run and sequence. */
  readonly receipts: Map<string, readonly string[]>;
  readonly endedRuns: Map<string, string>;
  generation: number;
  holder: string | undefined;
  run: { readonly runId: string; readonly staged: Set<string>; sequence: number } | undefined;
}

type EventOf<Type extends RuntimeEvent["type"]> = Extract<RuntimeEvent, { readonly type: Type }>;

function admit(truth: TrueRuntime, event: EventOf<"input_admitted">, blame: Blame): void {
  const { inputId, idempotencyKey } = event.input;
  if (truth.admitted.has(inputId)) blame(`input ${inputId} was admitted twice`);
  if (event.ordinal !== truth.admitted.size + 1) blame(`ordinal ${event.ordinal} is wrong`);
  truth.admitted.add(inputId);
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

function start(truth: TrueRuntime, event: EventOf<"run_started">, blame: Blame): void {
  if (truth.run) blame(`run ${event.runId} started while ${truth.run.runId} was in flight`);
  if (event.generation !== truth.generation || truth.holder === undefined) {
    blame(`run ${event.runId} started under an old fence`);
  }
  for (const inputId of event.inputIds) {
    if (truth.over.has(inputId)) blame(`input ${inputId} was staged after it was over`);
  }
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

function follow(truth: TrueRuntime, event: RuntimeEvent, blame: Blame): void {
  switch (event.type) {
    case "input_admitted":
      admit(truth, event, blame);
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

/** Follows the commits of one runtime and notes every contradiction. */
function followTruth(
  runtimeId: string,
  commits: readonly StoredCommit[],
  blame: Blame,
): TrueRuntime {
  const truth: TrueRuntime = {
    head: commits.length,
    owners: new Map(),
    admitted: new Set(),
    over: new Map(),
    receipts: new Map(),
    endedRuns: new Map(),
    generation: 0,
    holder: undefined,
    run: undefined,
  };
  const done = new Set<string>();
  for (const [index, commit] of commits.entries()) {
    const place = `${runtimeId}@${commit.revision}`;
    if (commit.revision !== index + 1) blame(`${place}: the journal has a gap`);
    for (const { command, actor = "" } of storedMarks(commit)) {
      if (command === "assign_run" || command === "lapse_lease") continue;
      if (done.has(actor)) blame(`${place}: ${actor} was done twice`);
      done.add(actor);
    }
    for (const event of storedRuntimeEvents(commit)) {
      follow(truth, event, (violation) => {
        blame(`${place}: ${violation}`);
      });
    }
  }
  if (truth.run) blame(`${runtimeId}: run ${truth.run.runId} was never finished`);
  for (const inputId of truth.admitted) {
    if (!truth.over.has(inputId)) blame(`${runtimeId}: input ${inputId} was never finished`);
  }
  return truth;
}

/** What is wrong with an answer; `undefined` when nothing is. */
function judgeAnswer({ command, reply, revision }: RuntimeAnswer, truth: TrueRuntime) {
  if (revision > truth.head) return "was acknowledged and is lost";
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
  return undefined;
}

/** Nobody who looks after an answer was given may see less than that answer rests on. */
function judgeOrder(history: RuntimeHistory): string[] {
  return history.looks.flatMap((later) =>
    [...history.answers, ...history.looks]
      .filter((before) => before.runtimeId === later.runtimeId)
      .filter((before) => before.answeredAt < later.askedAt && before.revision > later.revision)
      .map((before) => `${later.runtimeId}: saw ${later.revision} after ${before.revision}`),
  );
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
