/**
 * Names that a session gives once: no two tasks of one name stand beside each other in a scope. The
 * processes of one name have names with the same beginning, so that their grants lie together. What
 * is leaving counts, for it may come back.
 */
import { type ProcessId, processIdOf } from "../shared/ids.ts";
import type { SoleName } from "./commands.ts";
import { entriesOfFrame, grantKeyOf } from "./grant-keys.ts";
import type { FrameId, GrantsState } from "./state.ts";

/** The processes whose names begin so that a scope has grants of, or is giving away. */
export function processesNamed(
  { grants, leaving }: Pick<GrantsState, "grants" | "leaving">,
  frameId: FrameId,
  prefix: string,
): readonly ProcessId[] {
  const first = grantKeyOf(frameId, "");
  const found = new Set<ProcessId>();
  for (const map of [grants, leaving]) {
    for (const [key] of entriesOfFrame<unknown>(map, frameId, processIdOf(prefix))) {
      const name = key.slice(first.length);
      if (!name.startsWith(prefix)) break;
      found.add(processIdOf(name));
    }
  }
  return [...found];
}

/** Who has a name that one of `own` is to get; undefined while it is free. */
export function nameHolder(
  state: GrantsState,
  frameId: FrameId,
  { prefix, except }: SoleName,
  own: readonly ProcessId[],
): ProcessId | undefined {
  const passed = new Set([...except, ...own]);
  return processesNamed(state, frameId, prefix).find((processId) => !passed.has(processId));
}
