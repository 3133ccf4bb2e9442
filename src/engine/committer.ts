/**
 * Turns the waiting commands of a stream into commits, one in flight per stream.
 *
 * C1  Reads, listeners, views and dispatch see committed state only.
 * C2  A batch is decided when the commit before it is acknowledged: one level of speculation.
 * C3  Every reply of a batch, also its dedups and refusals, is released by the commit it rests on,
 *     or, where the batch causes none, after the head was confirmed.
 * C4  If a commit fails, everything derived from it is dropped with the speculation.
 * C5  The fold of an entry holds durable commits only.
 */
import type { FoundRecords } from "../core/shared/aggregate.ts";
import type { Revision } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { backoffMs, delay } from "./backoff.ts";
import { makeCommitIds } from "./commit-id.ts";
import { commitBytes, encodeCommit } from "./commit-codec.ts";
import { type DecidedBatch, decideBatch } from "./decide-batch.ts";
import type { DurableReads } from "./durable-reads.ts";
import type { Prober } from "./freshness.ts";
import type { JournalWriter } from "./journal-writer.ts";
import type { Loader } from "./loader.ts";
import type { EngineObserver } from "./observer.ts";
import type { AppendOutcome, Clock, Entropy, RecordStore, StoredCommit } from "./ports.ts";
import { lookUpRecords, NOTHING_FOUND, wantedRecords } from "./record-lookups.ts";
import { asUnavailable, releaseVerdicts } from "./release.ts";
import type { PendingCommand, StreamEntry } from "./stream-entry.ts";
import { foldCommit, type FoldedCommit, foldRequests, type StreamFold } from "./stream-fold.ts";

const BATCH_COMMANDS_MAX = 1000;
const BATCH_BYTES_MAX = 4 * 1024 * 1024;
const CONFLICT_TRIES_MAX = 8;
const CONFLICT_BACKOFF = { initialMs: 2, maxMs: 250 };
const CONTENDED_MS = 5000;
const CATCH_UP_TRIES_MAX = 200;
const CATCH_UP_PAUSE_MS = 5;

/** What the committer works with. */
export interface CommitterOptions {
  readonly writer: JournalWriter;
  readonly reads: DurableReads;
  readonly readAt: (stream: StoredCommit["stream"], revision: Revision) => Promise<StoredCommit>;
  readonly prober: Prober;
  readonly loader: Loader;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly observer: EngineObserver;
  /** Database time for the next commit. */
  readonly nowMs: () => number;
  /** Resolves when the views have room again; `undefined` while they have. */
  readonly pressure: () => Promise<void> | undefined;
  /** Told of every commit folded into an entry, own or foreign, after it is durable. */
  readonly onFolded: <State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    commit: FoldedCommit<State, Event>,
  ) => void;
  /** Told when an entry starts and stops having work, for timeouts. */
  readonly onActive: (entry: ActiveEntry, active: boolean) => void;
}

/** The part of an entry that timeouts go by, whatever its types. */
export interface ActiveEntry {
  readonly stream: StoredCommit["stream"];
  readonly pending: readonly ActiveCommand[];
}

/** The part of a pending command that timeouts go by. */
export interface ActiveCommand {
  readonly envelope: { readonly retrySafe?: boolean };
  readonly enqueuedMs: number;
  readonly reject: (error: unknown) => void;
  status: "waiting" | "in_flight" | "settled";
}

/** The part of an entry that says whether it travels in batches of its own. */
interface ContendedEntry {
  readonly conflictedMs: number;
}

/** A batch decided on a fold, and the commit that it causes, if any. */
interface Attempt<State, Command, Event, Reply> {
  readonly batch: readonly PendingCommand<State, Command, Event, Reply>[];
  readonly before: StreamFold<State>;
  readonly decided: DecidedBatch<State, Event, Reply>;
  readonly stored: StoredCommit | undefined;
}

/** Serves the queues of all streams. */
export interface Committer {
  /** Starts working on an entry's queue and tasks if nobody does. */
  readonly kick: <State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ) => void;
  /** Runs a task between batches of the stream; resolves with its result. */
  readonly exclusive: <State, Command, Event, Reply, Result>(
    entry: StreamEntry<State, Command, Event, Reply>,
    task: () => Promise<Result>,
  ) => Promise<Result>;
  /**
   * Folds what other replicas committed, at least up to `revision`. Only within `exclusive`. What
   * is known to be durable up to `durableTo` needs no barrier.
   */
  readonly catchUp: <State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    revision: Revision,
    durableTo?: Revision,
  ) => Promise<void>;
}

/** Makes the committer of a process. */
export function makeCommitter(options: CommitterOptions): Committer {
  const { writer, reads, prober, clock, entropy, observer } = options;
  const freshCommitId = makeCommitIds();

  function advance<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    folded: FoldedCommit<State, Event>,
  ): void {
    entry.fold = folded.after;
    entry.commitsSinceCheckpoint += 1;
    entry.bytesSinceCheckpoint += commitBytes(folded.stored);
    options.onFolded(entry, folded);
  }

  async function catchUp<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    revision: Revision,
    durableTo?: Revision,
  ): Promise<void> {
    await options.loader.load(entry);
    for (let tries = 0; ; tries += 1) {
      if (!entry.fold) return;
      let head: StreamFold<State> = entry.fold;
      const point = { stream: entry.stream, revision: head.revision };
      const page = await reads.readTail(point, durableTo);
      for (const stored of page.commits) {
        const folded = foldCommit(entry.aggregate, head, stored);
        advance(entry, folded);
        head = folded.after;
      }
      if (page.complete && head.revision >= revision) return;
      if (tries > CATCH_UP_TRIES_MAX) throw new RefusedError(unreadable(entry.stream, revision));
      if (page.complete) await delay(clock, CATCH_UP_PAUSE_MS);
    }
  }

  function take<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ): PendingCommand<State, Command, Event, Reply>[] {
    let bytes = 0;
    let count = 0;
    for (const pending of entry.pending) {
      const size = pending.envelope.bytes;
      if (count > 0 && (count >= BATCH_COMMANDS_MAX || bytes + size > BATCH_BYTES_MAX)) break;
      bytes += size;
      count += 1;
    }
    return entry.pending.slice(0, count);
  }

  const isOpen = (pending: ActiveCommand): boolean => pending.status !== "settled";
  const onBug = (error: unknown): void => observer.backgroundFailed("decide", error);

  function unreadable(stream: string, revision: Revision): ReturnType<typeof refusalOf> {
    return refusalOf(
      "DATABASE_UNAVAILABLE",
      `Revision ${revision} exists but could not be read; try again`,
      { stream, revision },
    );
  }

  /** Decides a batch on the fold as it is, and makes the commit of what it causes, if anything. */
  function decide<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    before: StreamFold<State>,
    batch: readonly PendingCommand<State, Command, Event, Reply>[],
    found: FoundRecords,
  ): Attempt<State, Command, Event, Reply> {
    const at = Math.max(options.nowMs(), before.at);
    const decided = decideBatch(entry, before, batch, { now: at, entropy, found, onBug });
    if (decided.events.length === 0) return { batch, before, decided, stored: undefined };
    for (const pending of batch) pending.status = "in_flight";
    // Once per commit, however often it is sent: reads go by when a commit was begun.
    entry.writesStarted += 1;
    releaseEarly(entry, batch, decided, at);
    const stored = encodeCommit({
      stream: entry.stream,
      revision: before.revision + 1,
      at,
      commitId: freshCommitId(),
      commands: decided.marks,
      events: decided.events,
      previousHash: before.hash,
    });
    return { batch, before, decided, stored };
  }

  function send(
    entry: ContendedEntry,
    stored: StoredCommit,
    onOutcome: (outcome: AppendOutcome) => void,
  ): void {
    const contended = clock.monotonicMs() - entry.conflictedMs < CONTENDED_MS;
    writer.write(stored, contended, onOutcome);
  }

  /**
   * Sends a commit until it is certain what has its revision; true when it is this one. What had it
   * may vanish in a crash of the database before it was durable: then the revision is free again.
   */
  async function land(entry: ContendedEntry, mine: StoredCommit, first: AppendOutcome) {
    const { stream, revision } = mine;
    let outcome = first;
    for (let attempt = 1; ; attempt += 1) {
      if (outcome === "stored") return true;
      if (outcome === "rejected") {
        const message = "The database refuses a commit of this stream";
        throw new RefusedError(refusalOf("STREAM_QUARANTINED", message, { stream, revision }));
      }
      try {
        const landed = await reads.readAt({ stream, revision });
        if (landed) return landed.commitId === mine.commitId;
      } catch (error) {
        observer.backgroundFailed("read of a taken revision", error);
      }
      await delay(clock, backoffMs(CONFLICT_BACKOFF, attempt, entropy));
      outcome = await new Promise<AppendOutcome>((resolve) => send(entry, mine, resolve));
    }
  }

  /** Folds a commit that landed and answers its batch; resolves when all answers are out. */
  function settle<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    { batch, before, decided }: Attempt<State, Command, Event, Reply>,
    stored: StoredCommit,
  ): Promise<unknown> | undefined {
    entry.writesAcknowledged = entry.writesStarted;
    const { revision, at, hash } = stored;
    const { state, marks: commands, events } = decided;
    const requests = foldRequests(before, commands, revision, at);
    const after = { state, revision, at, hash, ...requests, forgotten: before.forgotten };
    const committed = { stored, commands, events, before, after, isOwn: true };
    advance(entry, committed);
    return releaseVerdicts(entry, batch, decided, committed, options.readAt);
  }

  function conflicted<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    batch: readonly PendingCommand<State, Command, Event, Reply>[],
    tries: number,
  ): void {
    entry.conflictedMs = clock.monotonicMs();
    observer.conflict(entry.stream);
    if (tries < CONFLICT_TRIES_MAX) return;
    for (const pending of batch) {
      if (pending.status === "settled" || pending.envelope.patient) continue;
      pending.status = "settled";
      const refusal = refusalOf(
        "CONFLICT",
        "Other replicas changed the stream faster than this call could be decided; try again",
        { stream: entry.stream },
      );
      pending.reject(new RefusedError({ ...refusal, retryAfterMs: 100 }));
    }
  }

  /** Looks up what the state has forgotten and decides; nothing when no command is open. */
  async function begin<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    taken: readonly PendingCommand<State, Command, Event, Reply>[],
  ): Promise<Attempt<State, Command, Event, Reply> | undefined> {
    if (!entry.fold) return undefined;
    const wanted = wantedRecords(entry.aggregate, entry.fold, taken.filter(isOpen));
    const found = await lookUpRecords(options.records, entry.stream, wanted);
    // After the look-up: a command that was answered meanwhile must not be done.
    const batch = taken.filter(isOpen);
    return batch.length === 0 ? undefined : decide(entry, entry.fold, batch, found);
  }

  /**
   * Decides and commits (or confirms) until the batch has its answers; goes on from a first attempt
   * that did not simply land.
   */
  async function serve<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    taken: readonly PendingCommand<State, Command, Event, Reply>[],
    first?: Attempt<State, Command, Event, Reply>,
    firstOutcome?: AppendOutcome,
  ): Promise<void> {
    let attempt = first ?? (await begin(entry, taken));
    let outcome = firstOutcome;
    for (let tries = 1; attempt !== undefined; tries += 1) {
      const { batch, before, decided, stored } = attempt;
      if (stored === undefined) {
        const point = { stream: entry.stream, revision: before.revision + 1 };
        if (!(await prober.exists(point))) {
          await releaseVerdicts(entry, batch, decided, undefined, options.readAt);
          return;
        }
        await catchUp(entry, before.revision + 1);
      } else {
        outcome ??= await new Promise<AppendOutcome>((resolve) => send(entry, stored, resolve));
        if (await land(entry, stored, outcome)) {
          await settle(entry, attempt, stored);
          return;
        }
        conflicted(entry, batch, tries);
        await catchUp(entry, before.revision + 1);
        if (tries > 1) await delay(clock, backoffMs(CONFLICT_BACKOFF, tries, entropy));
      }
      outcome = undefined;
      attempt = await begin(entry, taken);
    }
  }

  function releaseEarly<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    batch: readonly PendingCommand<State, Command, Event, Reply>[],
    decided: DecidedBatch<State, Event, Reply>,
    at: number,
  ): void {
    for (const [index, pending] of batch.entries()) {
      const verdict = decided.verdicts[index];
      if (!pending.envelope.answeredEarly || verdict?.kind !== "committed") continue;
      const { firstEvent, eventCount } = verdict;
      const events = decided.events.slice(firstEvent, firstEvent + eventCount);
      const position = { revision: (entry.fold?.revision ?? 0) + 1, index: firstEvent, at };
      const reply = entry.aggregate.answer(pending.envelope.command, events, position);
      const state = entry.fold?.state ?? entry.aggregate.initial;
      pending.resolve({ reply, revision: 0, at, events, state });
    }
  }

  /** Answers what a failure left open. */
  function fail<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    batch: readonly PendingCommand<State, Command, Event, Reply>[],
    error: unknown,
  ): void {
    const refused = asUnavailable(entry.stream, error);
    if (refused instanceof RefusedError) {
      const { reason } = refused.refusal;
      if (reason === "STREAM_QUARANTINED" || reason === "STREAM_CORRUPT") {
        entry.broken = refused;
        observer.streamBroken(entry.stream, refused);
      }
    }
    for (const pending of batch.filter(isOpen)) {
      pending.status = "settled";
      pending.reject(refused);
    }
  }

  /** Commands stay in `pending` until they are settled, so that timeouts find them. */
  function dropSettled<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ): void {
    entry.pending = entry.pending.every(isOpen) ? entry.pending : entry.pending.filter(isOpen);
  }

  /** One task or one batch, whatever it takes. */
  async function step<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ): Promise<void> {
    const task = entry.tasks.shift();
    if (task) {
      await task();
      return;
    }
    const pressure = options.pressure();
    if (pressure) await pressure;
    let batch: readonly PendingCommand<State, Command, Event, Reply>[] = entry.pending;
    try {
      await options.loader.load(entry);
      batch = take(entry);
      await serve(entry, batch);
    } catch (error) {
      fail(entry, batch, error);
    }
    dropSettled(entry);
  }

  /**
   * The way of nearly every batch: it is decided and sent at once, lands, and is answered, and no
   * promise is made for any of that. False when something has to be waited for first.
   */
  function stepAtOnce<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ): boolean {
    const { aggregate, fold } = entry;
    if (entry.tasks.length > 0 || !fold || entry.broken || options.pressure()) return false;
    const batch = take(entry).filter(isOpen);
    goOn(entry, batch, () => {
      if (batch.length === 0) return undefined;
      if (wantedRecords(aggregate, fold, batch).size > 0) return serve(entry, batch);
      const attempt = decide(entry, fold, batch, NOTHING_FOUND);
      const { stored } = attempt;
      if (stored === undefined) return serve(entry, batch, attempt);
      send(entry, stored, (outcome) => {
        goOn(entry, batch, () =>
          outcome === "stored"
            ? settle(entry, attempt, stored)
            : serve(entry, batch, attempt, outcome),
        );
      });
      return "sent";
    });
    return true;
  }

  /** Does the next part of a batch and works on, unless a commit was sent; never throws. */
  function goOn<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    batch: readonly PendingCommand<State, Command, Event, Reply>[],
    part: () => Promise<unknown> | "sent" | undefined,
  ): void {
    const finish = (): void => {
      dropSettled(entry);
      work(entry);
    };
    try {
      const done = part();
      if (done === "sent") return;
      if (done) done.catch((error: unknown) => fail(entry, batch, error)).then(finish, onBug);
      else finish();
    } catch (error) {
      fail(entry, batch, error);
      finish();
    }
  }

  /** Works on an entry until it has to wait or has nothing left to do. */
  function work<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ): void {
    if (entry.tasks.length === 0 && entry.pending.length === 0) {
      entry.active = false;
      options.onActive(entry, false);
    } else if (!stepAtOnce(entry)) {
      void step(entry).then(() => work(entry));
    }
  }

  function kick<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ): void {
    if (entry.active) return;
    entry.active = true;
    options.onActive(entry, true);
    // What is asked for in the same turn is decided together.
    queueMicrotask(() => work(entry));
  }

  function exclusive<State, Command, Event, Reply, Result>(
    entry: StreamEntry<State, Command, Event, Reply>,
    task: () => Promise<Result>,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      entry.tasks.push(() => task().then(resolve, reject));
      kick(entry);
    });
  }

  return { kick, exclusive, catchUp };
}
