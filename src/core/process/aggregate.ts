/** The process as an aggregate: everything the engine needs to run its streams. */
import type { Aggregate } from "../shared/aggregate.ts";
import { answer } from "./answer.ts";
import { stateFromJson, stateToJson } from "./checkpoint-codec.ts";
import type { ProcessCommand, ProcessReply } from "./commands.ts";
import { decide, lookups } from "./decide.ts";
import { eventFromJson } from "./event-codec.ts";
import type { ProcessStreamEvent } from "./events.ts";
import { evolve } from "./evolve.ts";
import { factsToJson } from "./facts-codec.ts";
import { forget, forgettable, forgettableCount } from "./forget.ts";
import { INITIAL_PROCESS_STATE } from "./initial-state.ts";
import { PROCESS_EVENTS_CLASS } from "./record-codec.ts";
import type { ProcessState } from "./state.ts";
import { bytesOf, summarize } from "./summarize.ts";

/** Bumped whenever the same events fold into another state. */
const FOLD_VERSION = 3;

/** The process aggregate. */
export const processAggregate: Aggregate<
  ProcessState,
  ProcessCommand,
  ProcessStreamEvent,
  ProcessReply
> = {
  kind: "process",
  foldVersion: FOLD_VERSION,
  recordClasses: [PROCESS_EVENTS_CLASS],
  initial: INITIAL_PROCESS_STATE,
  decide,
  evolve,
  answer,
  lookups,
  eventFromJson,
  bytesOf,
  summarize,
  facts: factsToJson,
  forgettableCount,
  forgettable,
  forget,
  stateToJson,
  stateFromJson,
};
