/**
 * Writes commits of all streams of this process in shared batches.
 *
 * Owns: the queues of commits to be written and the writes in flight. It answers only outcomes that
 * are certain. A batch whose outcome is unknown is sent again, the identical bytes, until it is
 * known: a revision is never given to other content while the first may still land.
 * A batch leaves when a slot is free, without a timer, so batches grow under load.
 */
import { backoffMs, delay } from "./backoff.ts";
import { commitBytes } from "./commit-codec.ts";
import type { EngineObserver } from "./observer.ts";
import type { TimeMs } from "../core/shared/ids.ts";
import {
  type AppendOutcome,
  type Clock,
  type Entropy,
  type JournalStore,
  StorageError,
  type StoredCommit,
} from "./ports.ts";

const BATCH_BYTES_MAX = 16 * 1024 * 1024;
const BATCH_COMMITS_MAX = 200;
const LARGE_COMMIT_BYTES = 256 * 1024;
const APPEND_TIMEOUT_MS = 10_000;
const RETRY = { initialMs: 25, maxMs: 1000 };

/** A commit waiting for its outcome. */
interface QueuedCommit {
  readonly commit: StoredCommit;
  readonly bytes: number;
  readonly settle: (outcome: AppendOutcome) => void;
}

/** Commits that may share a batch, with their own number of writes in flight. */
interface WriteLane {
  queue: QueuedCommit[];
  /** Batches in flight: as many as there are slots, at most. */
  readonly inFlight: (readonly QueuedCommit[])[];
  readonly slots: number;
  scheduled: boolean;
}

/** Shared batches of inserts. */
export interface JournalWriter {
  /** Calls `settle` with a certain outcome, however long that takes; it must not throw. */
  readonly write: (
    commit: StoredCommit,
    contended: boolean,
    settle: (outcome: AppendOutcome) => void,
  ) => void;
  /** Commits that wait or are in flight. */
  readonly backlog: () => { readonly commits: number; readonly bytes: number };
  /** Time of the oldest commit without an outcome; `undefined` when there is none. */
  readonly oldestMs: () => TimeMs | undefined;
  /** True while the last write failed and is being tried again. */
  readonly isFailing: () => boolean;
  /** Stops sending; commits without outcome stay unknown. For the end of the process. */
  readonly stop: () => void;
}

/** What the writer works with. */
export interface JournalWriterOptions {
  readonly journal: JournalStore;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly observer: EngineObserver;
  /** Called after every acknowledged batch with the commits that were stored. */
  readonly onStored: (commits: readonly StoredCommit[]) => void;
}

const makeLane = (slots: number): WriteLane => ({
  queue: [],
  inFlight: [],
  slots,
  scheduled: false,
});

/**
 * Whether the next batch of a lane may leave: beside others only when it is full, or no smaller
 * than all of them together. Small batches at once would share what one batch costs, here and in
 * the database, among fewer commits; one at a time would leave either side waiting for the other.
 */
function mayLeave({ queue, inFlight, slots }: WriteLane): boolean {
  if (inFlight.length === 0) return queue.length > 0;
  const inFlightCommits = inFlight.reduce((sum, batch) => sum + batch.length, 0);
  return inFlight.length < slots && queue.length >= Math.min(BATCH_COMMITS_MAX, inFlightCommits);
}

/** Makes the writer of a process. */
export function makeJournalWriter(options: JournalWriterOptions): JournalWriter {
  const { journal, clock, entropy, observer } = options;
  const lanes = { normal: makeLane(3), large: makeLane(1), contended: makeLane(1) };
  /**
   * Commits that wait or are in flight; counted, because a set of them would keep them alive: its
   * outgrown tables refer to what they held and to the next table.
   */
  const open = { commits: 0, bytes: 0 };
  const failing = new Set<readonly QueuedCommit[]>();
  let stopped = false;

  function settle(item: QueuedCommit, outcome: AppendOutcome): void {
    open.commits -= 1;
    open.bytes -= item.bytes;
    item.settle(outcome);
  }

  function takeBatch(lane: WriteLane): readonly QueuedCommit[] {
    let size = 0;
    let count = 0;
    for (const item of lane.queue) {
      if (count > 0 && (size + item.bytes > BATCH_BYTES_MAX || count >= BATCH_COMMITS_MAX)) break;
      size += item.bytes;
      count += 1;
    }
    return lane.queue.splice(0, count);
  }

  async function append(batch: readonly QueuedCommit[]): Promise<readonly AppendOutcome[]> {
    const stored = batch.map((item) => item.commit);
    const size = batch.reduce((sum, item) => sum + item.bytes, 0);
    for (let attempt = 1; ; attempt += 1) {
      const startedMs = clock.monotonicMs();
      try {
        const outcomes = await journal.append(stored, APPEND_TIMEOUT_MS);
        failing.delete(batch);
        observer.batchStored(batch.length, size, clock.monotonicMs() - startedMs);
        return outcomes;
      } catch (error) {
        if (error instanceof StorageError && error.kind === "rejected") {
          failing.delete(batch);
          throw error;
        }
        failing.add(batch);
        observer.batchRetried(batch.length, attempt, error);
        await delay(clock, backoffMs(RETRY, attempt, entropy));
        if (stopped) return await new Promise<never>(() => undefined);
      }
    }
  }

  /** Halves a batch that the server refuses as a whole until the culprit stands alone. */
  async function writeBatch(batch: readonly QueuedCommit[]): Promise<void> {
    try {
      const outcomes = await append(batch);
      const stored = batch.filter((_, index) => outcomes[index] === "stored");
      if (stored.length > 0) options.onStored(stored.map((item) => item.commit));
      for (const [index, item] of batch.entries()) settle(item, outcomes[index] ?? "rejected");
    } catch (error) {
      const [only] = batch;
      if (batch.length === 1 && only) {
        observer.streamBroken(only.commit.stream, error);
        settle(only, "rejected");
        return;
      }
      const middle = Math.ceil(batch.length / 2);
      await writeBatch(batch.slice(0, middle));
      await writeBatch(batch.slice(middle));
    }
  }

  function pump(lane: WriteLane): void {
    lane.scheduled = false;
    while (mayLeave(lane) && !stopped) {
      const batch = takeBatch(lane);
      lane.inFlight.push(batch);
      void writeBatch(batch).finally(() => {
        lane.inFlight.splice(lane.inFlight.indexOf(batch), 1);
        pump(lane);
      });
    }
  }

  function write(
    commit: StoredCommit,
    contended: boolean,
    settled: (outcome: AppendOutcome) => void,
  ): void {
    const size = commitBytes(commit);
    const lane =
      size > LARGE_COMMIT_BYTES ? lanes.large : contended ? lanes.contended : lanes.normal;
    open.commits += 1;
    open.bytes += size;
    lane.queue.push({ commit, bytes: size, settle: settled });
    if (lane.scheduled || !mayLeave(lane)) return;
    lane.scheduled = true;
    setImmediate(() => {
      pump(lane);
    });
  }

  return {
    write,
    backlog: () => ({ ...open }),
    oldestMs: () => {
      const commits = Object.values(lanes).flatMap(({ queue, inFlight }) =>
        [queue, ...inFlight].flat(),
      );
      let oldest: TimeMs | undefined;
      for (const { commit } of commits) oldest = Math.min(commit.at, oldest ?? commit.at);
      return oldest;
    },
    isFailing: () => failing.size > 0,
    stop: () => {
      stopped = true;
    },
  };
}
