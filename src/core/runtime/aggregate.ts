/** The runtime as an aggregate: everything the engine needs to run its streams. */
import type { Aggregate } from "../shared/aggregate.ts";
import { answer } from "./answer.ts";
import { stateFromJson, stateToJson } from "./checkpoint-codec.ts";
import type { RuntimeCommand, RuntimeReply } from "./commands.ts";
import { decide, lookups } from "./decide.ts";
import { eventFromJson } from "./event-codec.ts";
import type { RuntimeEvent } from "./events.ts";
import { evolve } from "./evolve.ts";
import { forget, forgettable, forgettableCount } from "./forget.ts";
import { INITIAL_RUNTIME_STATE } from "./initial-state.ts";
import { INPUTS_CLASS, RECEIPTS_CLASS } from "./record-codec.ts";
import { OPERATIONS_CLASS } from "./operation-record.ts";
import type { RuntimeState } from "./state.ts";
import { bytesOf, facts, summarize } from "./summarize.ts";

/** Bumped whenever the same events fold into another state. */
const FOLD_VERSION = 4;

/** The runtime aggregate. */
export const runtimeAggregate: Aggregate<RuntimeState, RuntimeCommand, RuntimeEvent, RuntimeReply> =
  {
    kind: "runtime",
    foldVersion: FOLD_VERSION,
    recordClasses: [INPUTS_CLASS, RECEIPTS_CLASS, OPERATIONS_CLASS],
    initial: INITIAL_RUNTIME_STATE,
    decide,
    evolve,
    answer,
    lookups,
    eventFromJson,
    bytesOf,
    summarize,
    facts,
    forgettableCount,
    forgettable,
    forget,
    stateToJson,
    stateFromJson,
  };
