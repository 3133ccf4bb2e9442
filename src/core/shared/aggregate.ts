/**
 * The contract between an aggregate (pure) and the engine (effects).
 *
 * An aggregate is a state machine over a stream of events: `decide` says which events a command
 * causes, `evolve` folds one event into the state. Neither reads a clock, makes an id or awaits:
 * all of that arrives in the context. Everything here is a value; states are never changed in
 * place.
 */
import type { Json, JsonObject } from "./json.ts";
import type { Refusal } from "./refusal.ts";
import type { Revision, TimeMs } from "./ids.ts";

/** The place of one event in its stream. */
export interface EventPosition {
  readonly revision: Revision;
  /** Index of the event within its commit, from 0. */
  readonly index: number;
  /** Database time of the commit. */
  readonly at: TimeMs;
}

/** What a decision may use besides state and command. */
export interface DecideContext {
  /** Database time that the commit will carry if this decision leads to one. */
  readonly now: TimeMs;
  /** The revision that the commit will have if this decision leads to one. */
  readonly revision: Revision;
  /** Index that the first event of this decision will have within the commit. */
  readonly eventIndex: number;
  /** A fresh UUIDv7 per call. */
  readonly freshId: () => string;
  /** A fresh number in [0, 1) per call, for jitter. */
  readonly random: () => number;
  /** Records that were looked up for this command because the state may have forgotten them. */
  readonly found: FoundRecords;
}

/** Records fetched for a command, by record class and lookup key. */
export interface FoundRecords {
  readonly find: (recordClass: string, lookup: string) => JsonObject | undefined;
}

/** What `decide` answers. */
export type Decision<Event, Reply> =
  | {
      /** At least one event; the reply is `answer(command, events)` once they are committed. */
      readonly kind: "commit";
      readonly events: readonly Event[];
    }
  | {
      /** Nothing to change: the reply rests on the state as it is. */
      readonly kind: "answer";
      readonly reply: Reply;
    }
  | {
      /** The same call was committed before: the engine repeats the answer of that commit. */
      readonly kind: "repeat";
      readonly revision: Revision;
      /** Tells the call's own events apart from others of the same commit. */
      readonly bodyHash: string;
    }
  | { readonly kind: "refuse"; readonly refusal: Refusal };

/** A terminal fact that leaves the folded state and is kept as a row of its own. */
export interface ForgottenRecord {
  /** The record class: which collection holds the row, such as `inputs`. */
  readonly recordClass: string;
  /** Order of the row within its stream and class, from 1, never reused. */
  readonly ordinal: number;
  /** Keys under which the row can be found again, unique within stream and class. */
  readonly lookups: readonly string[];
  /** Revision of the last commit that the row rests on. */
  readonly revision: Revision;
  readonly body: JsonObject;
}

/** A key that a command needs and the state may have forgotten. */
export interface RecordLookup {
  readonly recordClass: string;
  readonly lookup: string;
}

/** A drain as the views show it. */
export interface DrainSummary {
  /** `waiting`: an executor of the stream's pool may have it. */
  readonly state: "waiting" | "hosted";
  /** The incarnation that runs it, as `executorId/incarnationId`. */
  readonly host?: string;
}

/** What the view of a stream shows and the dispatcher and the timers go by. */
export interface StreamSummary {
  /** Coarse state for filters, such as `idle`. */
  readonly state: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Pool whose executors may serve the stream; absent where nothing is to be served. */
  readonly pool?: string;
  /** From when on the stream has work for an executor; absent while it has none. */
  readonly runnableSince?: TimeMs;
  /** When the stream wants a tick; absent where no timer runs. */
  readonly dueAt?: TimeMs;
  /** The executor incarnation holding the stream's lease, as `executorId/incarnationId`. */
  readonly holder?: string;
  /** The drain that waits for an executor or runs at one; absent where there is none. */
  readonly drain?: DrainSummary;
  /** True once the stream is over and left out of default listings. */
  readonly gone: boolean;
}

/** A pure state machine over a stream; one per stream kind. */
export interface Aggregate<State, Command, Event, Reply> {
  /** First component of the stream's name. */
  readonly kind: string;
  /**
   * Bumped whenever the same events fold into another state; older checkpoints are then ignored.
   */
  readonly foldVersion: number;
  /** Record classes that this aggregate forgets into. */
  readonly recordClasses: readonly string[];
  /** The state of a stream without commits. */
  readonly initial: State;
  readonly decide: (
    state: State,
    command: Command,
    context: DecideContext,
  ) => Decision<Event, Reply>;
  readonly evolve: (state: State, event: Event, position: EventPosition) => State;
  /** The reply to a command whose events are committed; also used to repeat an old answer. */
  readonly answer: (command: Command, events: readonly Event[], at: EventPosition) => Reply;
  /** Keys that must be looked up before `decide` because `state` does not hold them. */
  readonly lookups: (state: State, command: Command) => readonly RecordLookup[];
  /** Events from storage: refuses types it does not know (then the stream needs a newer server). */
  readonly eventFromJson: (json: Json) => Event | "unknown";
  /** Approximate heap bytes of a state, for the cache. */
  readonly bytesOf: (state: State) => number;
  readonly summarize: (state: State) => StreamSummary;
  /** Shown by list RPCs without loading the stream; bounded, no payloads. */
  readonly facts: (state: State) => JsonObject;
  /** How many terminal facts `forget` would move out now. */
  readonly forgettableCount: (state: State) => number;
  /** Rows for every terminal fact in `state`, oldest first. */
  readonly forgettable: (state: State) => readonly ForgottenRecord[];
  /** `state` without the facts of `rows`, which are durable by then. */
  readonly forget: (state: State, rows: readonly ForgottenRecord[]) => State;
  readonly stateToJson: (state: State) => Json;
  readonly stateFromJson: (json: Json) => State;
}
