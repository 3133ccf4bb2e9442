/** The invariants of the folded state, checked from the headers up; see the head of `state.ts`. */
import type { InputId } from "../../shared/ids.ts";
import type { OrderedMap } from "../../shared/ordered-map.ts";
import { desiredDrainMode, isDrainActive, isDrainWaiting } from "../drain.ts";
import type { InputHeader, RuntimeState } from "../state.ts";
import { check } from "./check.ts";
import { checkOperations } from "./operation-invariants.ts";

function headersIn(state: RuntimeState, ...states: readonly string[]): readonly InputHeader[] {
  return [...state.inputs.values()].filter((header) => states.includes(header.state));
}

function sameIds(left: Iterable<InputId>, right: Iterable<InputId>): boolean {
  return [...left].toSorted().join() === [...right].toSorted().join();
}

function checkLane(state: RuntimeState, lane: OrderedMap<number, InputId>, name: string): void {
  const queued = headersIn(state, "queued").filter((header) => header.lane === name);
  check(
    sameIds(
      lane.values(),
      queued.map((header) => header.inputId),
    ),
    `R1 lane ${name}`,
  );
  for (const [ordinal, inputId] of lane.entries()) {
    check(state.inputs.get(inputId)?.ordinal === ordinal, `R9 order of lane ${name}`);
  }
}

function checkRun(state: RuntimeState): void {
  const { run, lease } = state;
  const members = headersIn(state, "staged", "applied_pending_consumption");
  const contributors = run?.contributors ?? [];
  check(
    sameIds(
      contributors,
      members.map((header) => header.inputId),
    ),
    "R1 members of the run",
  );
  const staged = headersIn(state, "staged").map((header) => header.inputId);
  check(sameIds(run?.staged ?? [], staged), "R1 staged members of the run");
  for (const header of members) check(header.lastRunId === run?.runId, "R1 run of a member");
  if (run === null) return;
  check(lease?.generation === run.generation, "R3 a run stands under the lease");
  const receipts = [...state.receipts.values()].filter((receipt) => receipt.runId === run.runId);
  check(
    sameIds(
      receipts.flatMap((receipt) => receipt.contributors),
      headersIn(state, "applied_pending_consumption").map((header) => header.inputId),
    ),
    "R5 applied members stand under a receipt",
  );
}

function checkCounts(state: RuntimeState): void {
  const { counts } = state;
  const { queued, staged, applied, consumed, superseded, coalesced, abandoned, accepted } = counts;
  const live = queued + staged + applied;
  check(consumed + superseded + coalesced + abandoned + live === accepted, "R2 counts add up");
  check(queued === headersIn(state, "queued").length, "R2 queued");
  check(staged === headersIn(state, "staged").length, "R2 staged");
  check(applied === headersIn(state, "applied_pending_consumption").length, "R2 applied");
  const bytes = headersIn(state, "queued", "staged").reduce(
    (total, header) => total + header.payloadBytes,
    0,
  );
  check(bytes === state.liveBytes, "live bytes");
}

function checkKeys(state: RuntimeState): void {
  for (const [key, inputId] of state.keys.entries()) {
    check(state.inputs.get(inputId)?.idempotencyKey === key, "R8 a key leads to its input");
  }
  for (const header of state.inputs.values()) {
    const { idempotencyKey, inputId } = header;
    const leads = idempotencyKey === undefined || state.keys.get(idempotencyKey) === inputId;
    check(leads, "R8 an input is found by its key");
    check(state.admitted.get(header.ordinal) === inputId, "admission order");
    check(header.attempts >= 0 && header.attempts <= state.config.attemptLimit, "R6 attempts");
    const isOver = ["consumed", "superseded", "coalesced", "abandoned"].includes(header.state);
    check(isOver === (header.outcome !== undefined), "an input that is over has an outcome");
    check(isOver === (header.completedRevision !== undefined), "and the revision that ended it");
  }
  check(state.admitted.size === state.inputs.size, "admission order has no strangers");
}

function checkDrain(state: RuntimeState): void {
  const { drain } = state;
  const isActive = isDrainActive(drain);
  check(!isActive || drain.mode !== null, "P1 an active drain has a mode");
  check((drain.phase === "running") === (drain.host !== null), "P2 a drain runs at an executor");
  const isOpen = isActive || isDrainWaiting(state);
  check(!isOpen || desiredDrainMode(state) !== null, "P3 no drain is active that is not wanted");
}

/** Throws when the state breaks an invariant. */
export function assertInvariants(state: RuntimeState): void {
  checkLane(state, state.queueLane, "queue");
  checkLane(state, state.steerLane, "steer");
  const keyed = headersIn(state, "queued").filter((it) => it.supersessionKey !== undefined);
  const superseding = [...state.superseding.values()];
  check(
    sameIds(
      superseding,
      keyed.map((header) => header.inputId),
    ),
    "superseding inputs",
  );
  checkRun(state);
  checkOperations(state);
  checkCounts(state);
  checkKeys(state);
  checkDrain(state);
  check(!state.wake || state.counts.queued > 0 || state.run !== null, "wake without work");
  check((state.lease?.generation ?? 0) <= state.generation, "R10 generation of the lease");
  check(state.endedRuns.length <= 8, "at most eight ended runs");
}
