/**
 * What the rest of the server may do with the streams of one aggregate. `rpc/` and `dispatch/` see
 * this interface, never the machinery behind it.
 */
import type { JsonObject } from "../core/shared/json.ts";
import type { Revision, StreamName } from "../core/shared/ids.ts";
import type { Refusal } from "../core/shared/refusal.ts";
import type { StoredCommit } from "./ports.ts";
import type { CommandEnvelope, CommitListener, Committed } from "./stream-entry.ts";
import type { FoldedCommit, StreamFold } from "./stream-fold.ts";

/** What a command would do, without doing it. */
export type Preview<State, Event, Reply> =
  | {
      readonly kind: "commit";
      readonly events: readonly Event[];
      readonly reply: Reply;
      readonly before: StreamFold<State>;
      readonly after: State;
      readonly at: number;
    }
  | { readonly kind: "answer"; readonly reply: Reply; readonly before: StreamFold<State> }
  | { readonly kind: "refuse"; readonly refusal: Refusal };

/** One page of a stream's history with its folds. */
export interface HistoryPage<State, Event> {
  readonly commits: readonly FoldedCommit<State, Event>[];
  /** The fold after the last commit of the page. */
  readonly fold: StreamFold<State>;
  /** True when there was nothing more to read. */
  readonly isEnd: boolean;
}

/** What re-reading a whole stream showed. */
export interface Verification {
  readonly valid: boolean;
  /** 0 when every revision is good. */
  readonly firstBadRevision: Revision;
  readonly commitCount: number;
  readonly headHash: Uint8Array;
  /** What is wrong, for people; empty when nothing is. */
  readonly problem: string;
}

/** The streams of one aggregate. All names are of streams of that aggregate's kind. */
export interface Streams<State, Command, Event, Reply> {
  /**
   * Has a command decided and committed. Rejects with RefusedError (refused by the core, or
   * CONFLICT, OUTCOME_UNKNOWN, DATABASE_UNAVAILABLE, OVERLOADED, STREAM_CORRUPT and the like).
   */
  readonly submit: (
    stream: StreamName,
    envelope: CommandEnvelope<Command>,
  ) => Promise<Committed<State, Event, Reply>>;
  /** The fold, confirmed to be the head at some moment after the call. */
  readonly fresh: (stream: StreamName) => Promise<StreamFold<State>>;
  /** The committed fold as this process knows it, loaded when needed, perhaps behind others. */
  readonly known: (stream: StreamName) => Promise<StreamFold<State>>;
  /**
   * The committed fold at a revision at least that another replica knows to be durable. It may be
   * behind: good enough to ask for something by a command, which its own commit settles.
   */
  readonly caughtUp: (stream: StreamName, durableRevision: Revision) => Promise<StreamFold<State>>;
  /** The committed fold if it is loaded. */
  readonly peek: (stream: StreamName) => StreamFold<State> | undefined;
  /** `decide` on the confirmed head without the commit. */
  readonly preview: (
    stream: StreamName,
    envelope: CommandEnvelope<Command>,
  ) => Promise<Preview<State, Event, Reply>>;
  /** The fold at a revision; REVISION_NOT_FOUND beyond the head. */
  readonly at: (stream: StreamName, revision: Revision) => Promise<StreamFold<State>>;
  /** Commits after a fold, at most one page of storage. */
  readonly history: (
    stream: StreamName,
    from: StreamFold<State>,
  ) => Promise<HistoryPage<State, Event>>;
  /** One commit; REVISION_NOT_FOUND when there is none. */
  readonly commit: (stream: StreamName, revision: Revision) => Promise<StoredCommit>;
  /** Hears every later commit, in order, once durable; answers how to stop. Pins the stream. */
  readonly listen: (stream: StreamName, listener: CommitListener<State, Event>) => () => void;
  /** A record that the fold has forgotten, by lookup; costs nothing for keys never seen. */
  readonly findRecord: (
    stream: StreamName,
    fold: StreamFold<State>,
    recordClass: string,
    lookup: string,
  ) => Promise<JsonObject | undefined>;
  /** Records in order of ordinal after one. */
  readonly listRecords: (
    stream: StreamName,
    recordClass: string,
    afterOrdinal: number,
    limit: number,
  ) => Promise<readonly { readonly ordinal: number; readonly body: JsonObject }[]>;
  /** Why this process refuses the stream; `undefined` while it serves it. */
  readonly refusalOf: (stream: StreamName) => Refusal | undefined;
  /** Has the view row of the stream written again from its confirmed head. */
  readonly reproject: (stream: StreamName) => Promise<void>;
  /** Re-reads the stream from its first revision: chain and fold. The signal ends it early. */
  readonly verify: (stream: StreamName, signal?: AbortSignal) => Promise<Verification>;
}
