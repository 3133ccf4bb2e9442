/** What every state of a grants stream must hold; see the invariants in `../state.ts`. */
import type { ProcessId } from "../../shared/ids.ts";
import { grantKeyOf } from "../grant-keys.ts";
import type { GrantsState } from "../state.ts";

/** How many grants and leaving grants there are of each process. */
function countsOf(state: GrantsState): Map<ProcessId, number> {
  const counts = new Map<ProcessId, number>();
  const count = (processId: ProcessId): void => {
    counts.set(processId, (counts.get(processId) ?? 0) + 1);
  };
  for (const { processId } of state.grants.values()) count(processId);
  for (const { handles } of state.transfers.values()) {
    for (const { processId } of handles) count(processId);
  }
  return counts;
}

function holdViolations(state: GrantsState): string[] {
  const counts = countsOf(state);
  const found: string[] = [];
  for (const [processId, hold] of state.holds.entries()) {
    const count = counts.get(processId) ?? 0;
    if (hold.handleCount !== count) found.push(`G1: ${processId} counts ${hold.handleCount}`);
    if ((count === 0) !== (hold.standing === "releasing")) found.push(`G2: ${processId}`);
    if (hold.mark > state.lastMark) found.push(`G2: mark of ${processId}`);
    const isOpen = hold.standing !== "held";
    if (state.openHolds.has(processId) !== isOpen) found.push(`open hold of ${processId}`);
  }
  for (const processId of counts.keys()) {
    if (!state.holds.has(processId)) found.push(`G1: ${processId} is not held`);
  }
  return found;
}

function grantViolations(state: GrantsState): string[] {
  const found: string[] = [];
  for (const [key, { frameId, processId, pending }] of state.grants.entries()) {
    if (key !== grantKeyOf(frameId, processId)) found.push(`key of ${processId}`);
    const hold = state.holds.get(processId);
    if (pending !== (hold?.pending.includes(key) ?? false)) found.push(`G3: ${processId}`);
    if (pending && hold?.standing !== "acquiring") found.push(`G3: ${processId} waits for nothing`);
  }
  const leaving = [...state.transfers.values()].flatMap(({ fromFrameId, handles, serial }) =>
    handles.map(({ processId }) => [grantKeyOf(fromFrameId, processId), serial] as const),
  );
  if (leaving.length !== state.leaving.size) found.push("G4: leaving twice, or not at all");
  for (const [key, serial] of leaving) {
    if (state.leaving.get(key) !== serial) found.push(`G4: ${key}`);
  }
  for (const { serials, floor } of state.sources.values()) {
    if (new Set(serials).size !== serials.length) found.push("G5: taken in twice");
    if (serials.some((serial) => serial < floor)) found.push("G5: below the floor");
  }
  if (state.phase === "deleted" && state.grants.size > 0) found.push("G6: grants are left");
  return found;
}

/** Everything that is wrong with a state; empty when nothing is. */
export function violationsOf(state: GrantsState): readonly string[] {
  return [...holdViolations(state), ...grantViolations(state)];
}
