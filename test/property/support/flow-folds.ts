// Whether every stream of a world is what its history folds into, from the beginning and from a
// checkpoint at any of its revisions.
import type { Aggregate } from "../../../src/core/shared/aggregate.ts";
import type { StreamName } from "../../../src/core/shared/ids.ts";
import { throughStorage, wholeImage } from "../../../src/core/shared/testing/storage-codec.ts";
import { parseStreamName } from "../../../src/engine/stream-name.ts";
import type { FlowWorld } from "./flow-world.ts";

type FoldedAggregate<State, Event> = Pick<
  Aggregate<State, never, Event, unknown>,
  "initial" | "evolve" | "eventFromJson" | "stateToJson" | "stateFromJson"
>;

function foldFaults<State, Event>(
  world: FlowWorld,
  aggregate: FoldedAggregate<State, Event>,
  stream: StreamName,
  present: State,
): readonly string[] {
  let genesis = aggregate.initial;
  let checkpointed = aggregate.initial;
  for (const { stream: name, revision, at, events } of world.database.journal) {
    if (name !== stream) continue;
    for (const [index, json] of events.entries()) {
      const event = aggregate.eventFromJson(json);
      if (event === "unknown") return [`${stream}@${revision}: an event is not read back`];
      const position = { revision, index, at };
      genesis = aggregate.evolve(genesis, event, position);
      checkpointed = aggregate.evolve(checkpointed, event, position);
    }
    // What follows is folded onto what a checkpoint at this revision gives back.
    const checkpoint = throughStorage(aggregate.stateToJson(checkpointed));
    checkpointed = aggregate.stateFromJson(checkpoint);
    if (wholeImage(checkpointed) !== wholeImage(genesis)) {
      return [`${stream}@${revision}: the fold from a checkpoint is another one`];
    }
  }
  return wholeImage(genesis) === wholeImage(present)
    ? []
    : [`${stream}: the history folds into another state`];
}

/** What is wrong with the folds of the streams of a world. */
export function foldViolations(world: FlowWorld): readonly string[] {
  const { database, aggregates } = world;
  const { grants, processes, runtimes } = aggregates;
  return database.streams().flatMap((stream) => {
    switch (parseStreamName(stream)?.kind) {
      case "grants":
        return foldFaults(world, grants, stream, database.fold(grants, stream).state);
      case "process":
        return foldFaults(world, processes, stream, database.fold(processes, stream).state);
      default:
        return foldFaults(world, runtimes, stream, database.fold(runtimes, stream).state);
    }
  });
}
