/**
 * What this process holds of one stream: its committed fold, the commands that wait for it, and who
 * listens. An entry is changed by the committer's lane of that stream alone.
 */
import type { Aggregate, StreamSummary } from "../core/shared/aggregate.ts";
import type { Revision, StreamName, TimeMs } from "../core/shared/ids.ts";
import type { RefusedError } from "../core/shared/refusal.ts";
import type { FoldedCommit, StreamFold } from "./stream-fold.ts";
import { parseStreamName, shardOf, type StreamAddress } from "./stream-name.ts";

/** A command on its way to a stream, with who asked. */
export interface CommandEnvelope<Command> {
  readonly command: Command;
  /** The command's type, for the history. */
  readonly name: string;
  readonly actor?: string;
  /** Idempotency id of the call: the same id gets the same answer. */
  readonly requestId?: string;
  /** Hash of the call's content; needed with a request id and for repeatable executor writes. */
  readonly bodyHash?: string;
  /** The stream's revision must be this one, and this the first change on top of it. */
  readonly expectedRevision?: Revision;
  /** Approximate bytes of the command, for batching and budgets. */
  readonly bytes: number;
  /** Answered as soon as it is decided, before its commit (ephemeral inputs). */
  readonly answeredEarly?: boolean;
  /** True when sending the call again cannot do its work twice, whatever became of it. */
  readonly retrySafe?: boolean;
  /** Never given up because of conflicts. */
  readonly patient?: boolean;
}

/** What a command led to. */
export interface Committed<State, Event, Reply> {
  readonly reply: Reply;
  /** Revision that the reply rests on; 0 when it was answered before its commit. */
  readonly revision: Revision;
  readonly at: TimeMs;
  /** The command's own events; none when nothing had to change. */
  readonly events: readonly Event[];
  /** Committed state at or after `revision`. */
  readonly state: State;
  /** Hash of the commit; absent when nothing was committed by this call. */
  readonly hash?: Uint8Array;
}

/** A command in the queue of its stream. */
export interface PendingCommand<State, Command, Event, Reply> {
  readonly envelope: CommandEnvelope<Command>;
  readonly resolve: (committed: Committed<State, Event, Reply>) => void;
  readonly reject: (error: unknown) => void;
  readonly enqueuedMs: number;
  status: "waiting" | "in_flight" | "settled";
}

/** Hears every commit of a stream, in order, after it is durable. */
export type CommitListener<State, Event> = (commit: FoldedCommit<State, Event>) => void;

/** Hears every commit folded here, own or foreign, of all streams of one aggregate. */
export type AdvanceListener<State, Event> = (
  stream: StreamName,
  commit: FoldedCommit<State, Event>,
  standings: Standings,
) => void;

/** What the views show of a stream before and after a commit; made once for all who look. */
export interface Standings {
  readonly before: StreamSummary;
  readonly after: StreamSummary;
}

/** One stream in this process. */
export interface StreamEntry<State, Command, Event, Reply> {
  readonly stream: StreamName;
  readonly address: StreamAddress;
  readonly shard: string;
  readonly aggregate: Aggregate<State, Command, Event, Reply>;
  /** Committed and durable; null until loaded. */
  fold: StreamFold<State> | null;
  /** Summary of the last commit folded here; null before there was one. */
  standing: StreamSummary | null;
  loading: Promise<void> | null;
  /** Set when the stream cannot be served: corrupt, quarantined, too new. */
  broken: RefusedError | null;
  pending: PendingCommand<State, Command, Event, Reply>[];
  /** Exclusive work between batches: catching up, forgetting. */
  tasks: (() => Promise<void>)[];
  active: boolean;
  /** How many writes were started, and the serial of the last acknowledged one. */
  writesStarted: number;
  writesAcknowledged: number;
  /** Monotonic time of the last conflict; such streams travel in batches of their own. */
  conflictedMs: number;
  commitsSinceCheckpoint: number;
  bytesSinceCheckpoint: number;
  /** Size of the last checkpoint; 0 before there was one. */
  checkpointBytes: number;
  checkpointing: boolean;
  listeners: Set<CommitListener<State, Event>> | null;
  readonly onAdvance: AdvanceListener<State, Event> | undefined;
  /** Bytes of the fold, as counted by the cache. */
  bytes: number;
  /** Asked for since the cache last looked for room. */
  recentlyUsed: boolean;
  /** True once the cache has dropped the entry; whoever still holds it may finish with it. */
  evicted: boolean;
}

/** A new, unloaded entry. */
export function makeStreamEntry<State, Command, Event, Reply>(
  aggregate: Aggregate<State, Command, Event, Reply>,
  stream: StreamName,
  onAdvance: AdvanceListener<State, Event> | undefined,
): StreamEntry<State, Command, Event, Reply> {
  const address = parseStreamName(stream);
  if (!address) throw new TypeError(`Not the name of a stream: ${stream}`);
  return {
    stream,
    address,
    shard: shardOf(stream),
    aggregate,
    fold: null,
    standing: null,
    loading: null,
    broken: null,
    pending: [],
    tasks: [],
    active: false,
    writesStarted: 0,
    writesAcknowledged: 0,
    conflictedMs: Number.NEGATIVE_INFINITY,
    commitsSinceCheckpoint: 0,
    bytesSinceCheckpoint: 0,
    checkpointBytes: 0,
    checkpointing: false,
    listeners: null,
    onAdvance,
    bytes: 0,
    recentlyUsed: false,
    evicted: false,
  };
}

/** True when nothing hangs on the entry, so that it may be dropped. */
export function isIdle(entry: {
  readonly active: boolean;
  readonly checkpointing: boolean;
  readonly loading: Promise<void> | null;
  readonly pending: readonly unknown[];
  readonly tasks: readonly unknown[];
  readonly listeners: ReadonlySet<unknown> | null;
}): boolean {
  return (
    !entry.active &&
    !entry.checkpointing &&
    entry.loading === null &&
    entry.pending.length === 0 &&
    entry.tasks.length === 0 &&
    (entry.listeners === null || entry.listeners.size === 0)
  );
}
