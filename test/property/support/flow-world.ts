// Replicas that carry work between streams, and a scheduler that has the last word on the order of
// every message: requests arrive late, twice, or after their sender died; answers arrive at the
// living only.
import { grantsAggregate } from "../../../src/core/grants/aggregate.ts";
import { processAggregate } from "../../../src/core/process/aggregate.ts";
import { runtimeAggregate } from "../../../src/core/runtime/aggregate.ts";
import type { Aggregate } from "../../../src/core/shared/aggregate.ts";
import type { StreamName } from "../../../src/core/shared/ids.ts";
import { silentObserver } from "../../../src/engine/observer.ts";
import type { FoldedCommit } from "../../../src/engine/stream-fold.ts";
import { parseStreamName } from "../../../src/engine/stream-name.ts";
import type { Streams } from "../../../src/engine/streams.ts";
import { type Flows, makeFlows } from "../../../src/flows/flows.ts";
import { type HandleCalls, makeHandleCalls } from "../../../src/flows/handle-calls.ts";
import { type FlowDatabase, makeFlowDatabase } from "./flow-database.ts";
import { makeSeededEntropy } from "./seeded-entropy.ts";
import type { Tape } from "./tape.ts";

/** The part of `Streams` that flows work with. */
type FlowStreams<State, Command, Event, Reply> = Pick<
  Streams<State, Command, Event, Reply>,
  "fresh" | "submit" | "commit"
>;

/** The aggregates of a world; bugs are planted here. */
export interface FlowAggregates {
  readonly grants: typeof grantsAggregate;
  readonly processes: typeof processAggregate;
  readonly runtimes: typeof runtimeAggregate;
}

/** The aggregates as they are. */
export const SOUND_AGGREGATES: FlowAggregates = {
  grants: grantsAggregate,
  processes: processAggregate,
  runtimes: runtimeAggregate,
};

/** The streams of one replica. */
export interface ReplicaStreams {
  readonly grants: FlowStreamsOf<typeof grantsAggregate>;
  readonly processes: FlowStreamsOf<typeof processAggregate>;
  readonly runtimes: FlowStreamsOf<typeof runtimeAggregate>;
}

type FlowStreamsOf<Kind> =
  Kind extends Aggregate<infer State, infer Command, infer Event, infer Reply>
    ? FlowStreams<State, Command, Event, Reply>
    : never;

/** One replica. */
export interface FlowReplica {
  readonly streams: ReplicaStreams;
  readonly flows: Flows;
  readonly calls: HandleCalls;
  /** Resolves when the replica dies. */
  readonly death: Promise<void>;
}

/** The world. */
export interface FlowWorld {
  readonly database: FlowDatabase;
  readonly aggregates: FlowAggregates;
  readonly replicas: () => readonly FlowReplica[];
  /** Lets one thing happen. */
  readonly step: () => void;
  /** Lets time pass, and has streams ticked that are due. */
  readonly elapse: (durationMs: number) => void;
  /** Whether a message is on its way. */
  readonly isBusy: () => boolean;
  /** No replica dies from now on, and no message comes twice. */
  readonly heal: () => void;
}

/** How a bug is planted into the streams that the flows of a replica see. */
export type PlantStreams = (streams: ReplicaStreams, database: FlowDatabase) => ReplicaStreams;

interface Life {
  isAlive: boolean;
  readonly die: () => void;
}

interface Message {
  /** Whose business it is; a request that is on its way is nobody's. */
  readonly life: Life | null;
  readonly run: () => void;
}

/** Makes a world with its replicas. */
export function makeFlowWorld(options: {
  readonly tape: Tape;
  readonly replicas: number;
  readonly aggregates?: FlowAggregates;
  readonly plantStreams?: PlantStreams;
}): FlowWorld {
  const { aggregates = SOUND_AGGREGATES, plantStreams = (streams) => streams } = options;
  const database = makeFlowDatabase();
  const messages: Message[] = [];
  let healed = false;
  const { tape } = options;
  const post = (life: Life | null, run: () => void): void => void messages.push({ life, run });

  function streamsOf<State, Command, Event, Reply>(
    aggregate: Aggregate<State, Command, Event, Reply>,
    life: Life,
    advanced: (stream: StreamName, commit: FoldedCommit<State, Event>) => void,
  ): FlowStreams<State, Command, Event, Reply> {
    return {
      fresh: (stream) =>
        new Promise((resolve) => post(life, () => resolve(database.fold(aggregate, stream)))),
      commit: (stream, revision) =>
        new Promise((resolve) => post(life, () => resolve(database.stored(stream, revision)))),
      submit: (stream, { command, actor }) =>
        new Promise((resolve, reject) => {
          const arrive = (isAnswered: boolean): void => {
            try {
              const { committed, commit } = database.decide(aggregate, stream, command);
              if (commit && life.isAlive) advanced(stream, commit);
              if (isAnswered) post(life, () => resolve(committed));
            } catch (error) {
              if (isAnswered) post(life, () => reject(error));
            }
            // What a flow sends may come a second time, however late.
            if (isAnswered && actor === undefined && !healed && tape.chance(60)) {
              post(null, () => arrive(false));
            }
          };
          post(null, () => arrive(true));
        }),
    };
  }

  function bear(seed: number): { readonly replica: FlowReplica; readonly life: Life } {
    const death = Promise.withResolvers<void>();
    const life: Life = {
      isAlive: true,
      die: () => {
        life.isAlive = false;
        death.resolve();
      },
    };
    const own: ReplicaStreams = {
      grants: streamsOf(aggregates.grants, life, (stream, commit) => {
        flows.grantsAdvanced(stream, commit);
      }),
      processes: streamsOf(aggregates.processes, life, (stream, commit) => {
        flows.processAdvanced(stream, commit);
      }),
      runtimes: streamsOf(aggregates.runtimes, life, () => undefined),
    };
    const streams = plantStreams(own, database);
    const flows: Flows = makeFlows({
      ...streams,
      entropy: makeSeededEntropy(seed),
      nowMs: () => database.now,
      clock: { after: () => () => undefined },
      membership: { presentForMs: () => Number.POSITIVE_INFINITY },
      observer: silentObserver,
    });
    const calls = makeHandleCalls({ ...streams, flows });
    return { replica: { streams, flows, calls, death: death.promise }, life };
  }

  let births = options.replicas;
  const seats = Array.from({ length: options.replicas }, (_, index) => bear(index + 1));

  function crash(): void {
    const place = tape.pick(seats.length);
    seats[place]?.life.die();
    births += 1;
    seats[place] = bear(births);
  }

  function dueStreams(): readonly StreamName[] {
    return database.streams().filter((stream) => {
      const kind = parseStreamName(stream)?.kind;
      const { dueAt } =
        kind === "grants"
          ? aggregates.grants.summarize(database.fold(aggregates.grants, stream).state)
          : kind === "process"
            ? aggregates.processes.summarize(database.fold(aggregates.processes, stream).state)
            : {};
      return dueAt !== undefined && dueAt <= database.now;
    });
  }

  function elapse(durationMs: number): void {
    database.now += durationMs;
    for (const stream of dueStreams()) {
      const { flows } = seats[tape.pick(seats.length)]?.replica ?? {};
      const kinds = new Map(flows?.timedKinds);
      // What cannot be done is tried again by the next timer.
      kinds
        .get(parseStreamName(stream)?.kind ?? "")
        ?.tick(stream)
        .catch(() => undefined);
    }
  }

  return {
    database,
    aggregates,
    replicas: () => seats.map(({ replica }) => replica),
    step: () => {
      if (!healed && tape.chance(12)) crash();
      else if (!healed && tape.chance(40)) elapse(tape.pick(5000));
      const [message] = messages.splice(tape.pick(messages.length), 1);
      if (message === undefined) elapse(1000);
      else if (message.life === null || message.life.isAlive) message.run();
    },
    elapse,
    isBusy: () => messages.length > 0,
    heal: () => {
      healed = true;
    },
  };
}
