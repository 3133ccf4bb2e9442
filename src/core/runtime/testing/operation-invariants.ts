/** The invariants of the registry of operations; see the head of `operation-state.ts`. */
import { retainedCount } from "../operation-state.ts";
import { hasEnded } from "../operation-table.ts";
import { isQuiescent } from "../operation-wake.ts";
import type { RuntimeState } from "../state.ts";
import { check } from "./check.ts";

function checkEnds({ operations: registry, config }: RuntimeState): void {
  const { operations, active, ended, watermark, releasedThrough } = registry;
  const going = [...operations.values()].filter((operation) => !hasEnded(operation.status));
  const isListed = going.every(({ ordinal, operationId }) => active.get(ordinal) === operationId);
  check(isListed && going.length === active.size, "O1 the active operations");
  for (const operation of operations.values()) {
    const { end, status, operationId, ordinal } = operation;
    check(hasEnded(status) === (end !== undefined), "O3 an end and its outcome");
    check(end === undefined || end.outcome.type === status, "O3 outcome and status");
    check(end === undefined || ended.get(end.sequence) === operationId, "O2 place of an end");
    check(ordinal >= 1 && ordinal <= registry.ordinal, "order of registration");
  }
  check(ended.size + active.size === operations.size, "O1 active or ended");
  const sequences = [...ended.keys()];
  const isGapless = sequences.every((sequence, index) => sequence === (sequences[0] ?? 0) + index);
  check(isGapless, "O2 gaps between completions");
  check((ended.maxKey() ?? watermark) === watermark, "O2 the watermark");
  check((ended.minKey() ?? watermark + 1) <= releasedThrough + 1, "O4 what is kept is held");
  check(retainedCount(registry) >= 0, "O4 nothing is released ahead of its end");
  check(retainedCount(registry) <= config.completedRetention, "O4 more is kept than is to be");
}

function checkCursors(state: RuntimeState): void {
  const { watermark, backgroundWatermark, cursors } = state.operations;
  const { agentApplied, runtimeObserved, runtimeInjected } = cursors;
  check(agentApplied <= watermark && runtimeObserved <= watermark, "O5 cursors and watermark");
  check(runtimeInjected <= runtimeObserved, "O5 what was injected was observed");
  if (!isQuiescent(state)) return;
  check(runtimeObserved === watermark, "O6 a quiescent runtime has looked at everything");
  check(backgroundWatermark <= runtimeInjected, "O7 a quiescent runtime was told of everything");
}

/** Throws when the registry breaks an invariant. */
export function checkOperations(state: RuntimeState): void {
  checkEnds(state);
  checkCursors(state);
}
