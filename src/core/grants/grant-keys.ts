/** Keys of grants: frame and process in one text, in order of frame and then of process. */
import type { ProcessId } from "../shared/ids.ts";
import type { OrderedMap } from "../shared/ordered-map.ts";
import type { FrameId, GrantKey } from "./state.ts";

/** Below every printable character, so that no frame's keys lie among those of another one. */
const SEPARATOR = "\u0000";

/** The key of a grant. */
export function grantKeyOf(frameId: FrameId, processId: ProcessId | ""): GrantKey {
  return frameId + SEPARATOR + processId;
}

/** Entries of one frame, by process, after a process when one is given. */
export function* entriesOfFrame<Value>(
  map: Pick<OrderedMap<GrantKey, Value>, "entries">,
  frameId: FrameId,
  after?: ProcessId,
): Generator<readonly [GrantKey, Value]> {
  const first = grantKeyOf(frameId, "");
  const passed = after === undefined ? first : grantKeyOf(frameId, after);
  for (const entry of map.entries(passed)) {
    const [key] = entry;
    if (!key.startsWith(first)) return;
    if (key !== passed) yield entry;
  }
}
