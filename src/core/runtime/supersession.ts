/**
 * Supersession: an input with a supersession key takes the place of queued inputs of the same kind
 * and key. Progress of a peer's response coalesces them instead. Staged inputs are never
 * superseded; one that rolled back while a newer one waits is found again by the next arrival.
 */
import type { InputId } from "../shared/ids.ts";
import type { Input, InputKind } from "./input.ts";
import type { RuntimeEvent } from "./events.ts";
import type { PolicyDecision } from "./policy.ts";
import type { InputHeader, RuntimeState } from "./state.ts";

const ORDINAL_DIGITS = 12;

/** Everything that is superseded together starts with the same characters; keys are printable. */
function scopeOf(kind: InputKind, supersessionKey: string): string {
  return `${kind}\u0000${supersessionKey}\u0000`;
}

/** The place of a queued header among the superseding ones; undefined for one without a key. */
export function supersessionEntry(header: InputHeader): string | undefined {
  if (header.supersessionKey === undefined) return undefined;
  const ordinal = String(header.ordinal).padStart(ORDINAL_DIGITS, "0");
  return scopeOf(header.kind, header.supersessionKey) + ordinal;
}

/** The queued inputs of a kind and key, oldest first. */
export function queuedWithKey(
  state: RuntimeState,
  kind: InputKind,
  supersessionKey: string | undefined,
): readonly InputId[] {
  if (supersessionKey === undefined) return [];
  const scope = scopeOf(kind, supersessionKey);
  const found: InputId[] = [];
  for (const [entry, inputId] of state.superseding.entries(scope)) {
    if (!entry.startsWith(scope)) break;
    found.push(inputId);
  }
  return found;
}

/** The events that take `replaced` out of the queue in favour of a newly admitted input. */
export function supersessionEvents(
  input: Input,
  decision: PolicyDecision,
  replaced: readonly InputId[],
): readonly RuntimeEvent[] {
  return replaced.map((inputId): RuntimeEvent => {
    return decision.queueMode === "coalesce"
      ? { type: "input_coalesced", inputId, aggregateId: input.inputId }
      : { type: "input_superseded", inputId, supersededBy: input.inputId };
  });
}
