/** The grants of a session as an aggregate: everything the engine needs to run its streams. */
import type { Aggregate } from "../shared/aggregate.ts";
import { answer } from "./answer.ts";
import { stateFromJson, stateToJson } from "./checkpoint-codec.ts";
import type { GrantsCommand, GrantsReply } from "./commands.ts";
import { decide } from "./decide.ts";
import { eventFromJson } from "./event-codec.ts";
import type { GrantsEvent } from "./events.ts";
import { evolve } from "./evolve.ts";
import { INITIAL_GRANTS_STATE } from "./initial-state.ts";
import type { GrantsState } from "./state.ts";
import { bytesOf, facts, summarize } from "./summarize.ts";

/** Bumped whenever the same events fold into another state. */
const FOLD_VERSION = 2;

/** The aggregate of grants, one per session; nothing of it is forgotten. */
export const grantsAggregate: Aggregate<GrantsState, GrantsCommand, GrantsEvent, GrantsReply> = {
  kind: "grants",
  foldVersion: FOLD_VERSION,
  recordClasses: [],
  initial: INITIAL_GRANTS_STATE,
  decide,
  evolve,
  answer,
  lookups: () => [],
  eventFromJson,
  bytesOf,
  summarize,
  facts,
  forgettableCount: () => 0,
  forgettable: () => [],
  forget: (state) => state,
  stateToJson,
  stateFromJson,
};
