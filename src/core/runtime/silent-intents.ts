/**
 * Silent intents: requests of peers that are to be known but not to wake the runtime. They are
 * queued as context for whatever run comes next. The set is the runtime's own, like its
 * configuration: it stays until another one takes its place, whatever happens to the runtime.
 */
import type { Decision } from "../shared/aggregate.ts";
import type { RuntimeCommand, RuntimeReply } from "./commands.ts";
import type { RuntimeEvent } from "./events.ts";
import type { InputBody } from "./input.ts";
import { notRegistered, refused, refusedByTable } from "./refusals.ts";
import type { RuntimeState } from "./state.ts";
import { verdictOf } from "./table.ts";

type SetCommand = Extract<RuntimeCommand, { readonly type: "set_silent_intents" }>;

/** Whether an input is a peer's request with a silent intent. */
export function isSilenced(state: RuntimeState, body: InputBody): boolean {
  if (body.type !== "peer" || body.convention?.type !== "request") return false;
  return state.silentIntents.includes(body.convention.intent);
}

/** Decides set_silent_intents: the set given takes the place of the one there is. */
export function decideSetSilentIntents(
  state: RuntimeState,
  command: SetCommand,
): Decision<RuntimeEvent, RuntimeReply> {
  if (state.registration !== "registered") return refused(notRegistered(state));
  const verdict = verdictOf(state, "set_silent_intents");
  if (verdict === "RUNTIME_DESTROYED") return refused(refusedByTable(state, verdict));
  const intents = [...new Set(command.intents)].toSorted();
  const isSame =
    intents.length === state.silentIntents.length &&
    intents.every((intent, index) => intent === state.silentIntents[index]);
  return isSame
    ? { kind: "answer", reply: { type: "silent_intents_set", intents } }
    : { kind: "commit", events: [{ type: "silent_intents_set", intents }] };
}
