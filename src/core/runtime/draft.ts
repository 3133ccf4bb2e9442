/**
 * A decision in the making: events are folded as they are decided, so that a later step of the same
 * command sees what the earlier ones changed. Lives only within one call of `decide`.
 */
import type { DecideContext, Decision } from "../shared/aggregate.ts";
import type { RuntimeReply } from "./commands.ts";
import type { RuntimeEvent } from "./events.ts";
import { evolve } from "./evolve.ts";
import type { RuntimeState } from "./state.ts";

/** What the steps of a command write to. */
export interface Draft {
  /** The state after the events so far. */
  readonly state: () => RuntimeState;
  readonly emit: (event: RuntimeEvent) => void;
  /** The decision to commit the events. */
  readonly commit: () => Decision<RuntimeEvent, RuntimeReply>;
}

/** An empty draft on a state. */
export function openDraft(initial: RuntimeState, context: DecideContext): Draft {
  const events: RuntimeEvent[] = [];
  let state = initial;
  return {
    state: () => state,
    emit: (event) => {
      const index = context.eventIndex + events.length;
      state = evolve(state, event, { revision: context.revision, index, at: context.now });
      events.push(event);
    },
    commit: () => ({ kind: "commit", events }),
  };
}
