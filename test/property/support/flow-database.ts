// Streams of several aggregates with nothing around them: a command is decided and folded in one
// step, as if every commit took no time. What happens between the steps is up to the scheduler.
import type { Aggregate } from "../../../src/core/shared/aggregate.ts";
import type { Json } from "../../../src/core/shared/json.ts";
import type { StreamName, TimeMs } from "../../../src/core/shared/ids.ts";
import { RefusedError } from "../../../src/core/shared/refusal.ts";
import { encodeCommit, GENESIS_HASH } from "../../../src/engine/commit-codec.ts";
import type { StoredCommit } from "../../../src/engine/ports.ts";
import type { Committed } from "../../../src/engine/stream-entry.ts";
import {
  type FoldedCommit,
  initialFold,
  type StreamFold,
} from "../../../src/engine/stream-fold.ts";
import { foldAs, storedEvents } from "./flow-codec.ts";
import { makeSeededEntropy } from "./seeded-entropy.ts";

/** One commit of the journal. */
export interface JournalEntry {
  readonly stream: StreamName;
  readonly revision: number;
  readonly at: TimeMs;
  readonly events: readonly Json[];
}

/** What a command led to, and the commit if there was one. */
export interface Decided<State, Event, Reply> {
  readonly committed: Committed<State, Event, Reply>;
  readonly commit?: FoldedCommit<State, Event>;
}

/** All streams. */
export interface FlowDatabase {
  now: TimeMs;
  /** Every commit, in order. */
  readonly journal: readonly JournalEntry[];
  readonly streams: () => readonly StreamName[];
  /** Decides a command and commits it. Throws RefusedError. */
  readonly decide: <State, Command, Event, Reply>(
    aggregate: Aggregate<State, Command, Event, Reply>,
    stream: StreamName,
    command: Command,
  ) => Decided<State, Event, Reply>;
  readonly fold: <State, Command, Event, Reply>(
    aggregate: Aggregate<State, Command, Event, Reply>,
    stream: StreamName,
  ) => StreamFold<State>;
  readonly stored: (stream: StreamName, revision: number) => StoredCommit;
  /** Called after every commit. */
  onCommit: (entry: JournalEntry) => void;
}

function storedOf(entry: JournalEntry): StoredCommit {
  const { stream, revision, at, events } = entry;
  const draft = { stream, revision, at, commitId: "commit", commands: [], events };
  return encodeCommit({ ...draft, previousHash: GENESIS_HASH });
}

/** A database without streams. */
export function makeFlowDatabase(): FlowDatabase {
  const folds = new Map<StreamName, StreamFold<unknown>>();
  const journal: JournalEntry[] = [];
  const entropy = makeSeededEntropy(7);

  function foldOf<State>(initial: State, stream: StreamName): StreamFold<State> {
    return foldAs<State>(folds.get(stream)) ?? initialFold(initial);
  }

  function commitEvents<State, Command, Event, Reply>(
    aggregate: Aggregate<State, Command, Event, Reply>,
    stream: StreamName,
    before: StreamFold<State>,
    events: readonly Event[],
  ): FoldedCommit<State, Event> {
    const revision = before.revision + 1;
    const at = database.now;
    let state = before.state;
    for (const [index, event] of events.entries()) {
      state = aggregate.evolve(state, event, { revision, index, at });
    }
    const after: StreamFold<State> = { ...before, state, revision, at };
    folds.set(stream, after);
    const entry: JournalEntry = { stream, revision, at, events: storedEvents(events) };
    journal.push(entry);
    database.onCommit(entry);
    return { stored: storedOf(entry), commands: [], events, before, after, isOwn: true };
  }

  const database: FlowDatabase = {
    now: 1_700_000_000_000,
    journal,
    streams: () => [...folds.keys()],
    fold: (aggregate, stream) => foldOf(aggregate.initial, stream),
    stored: (stream, revision) => {
      const entry = journal.find((one) => one.stream === stream && one.revision === revision);
      if (entry === undefined) throw new Error(`no commit ${revision} of ${stream}`);
      return storedOf(entry);
    },
    decide: (aggregate, stream, command) => {
      const before = foldOf(aggregate.initial, stream);
      const { now } = database;
      const decision = aggregate.decide(before.state, command, {
        now,
        revision: before.revision + 1,
        eventIndex: 0,
        ...entropy,
        found: { find: () => undefined },
      });
      const { revision, at, state } = before;
      if (decision.kind === "refuse") throw new RefusedError(decision.refusal);
      if (decision.kind === "answer") {
        return { committed: { reply: decision.reply, revision, at, events: [], state } };
      }
      if (decision.kind === "repeat") throw new Error("nothing is repeated here");
      const commit = commitEvents(aggregate, stream, before, decision.events);
      const position = { revision: commit.after.revision, index: 0, at: now };
      const reply = aggregate.answer(command, decision.events, position);
      const { events, after } = commit;
      const committed = { reply, revision: after.revision, at: now, events, state: after.state };
      return { committed, commit };
    },
    onCommit: () => undefined,
  };
  return database;
}
