/**
 * Moves terminal facts out of folded states and stores the folds. The order is always: records up
 * to S durable, then the checkpoint at S, then the state forgets them; so a cold load never misses
 * a key.
 */
import { checkpointOf } from "./checkpoint-codec.ts";
import type { Committer } from "./committer.ts";
import type { EngineObserver } from "./observer.ts";
import type { CheckpointStore, RecordStore } from "./ports.ts";
import type { CacheBudget } from "./stream-cache.ts";
import type { StreamEntry } from "./stream-entry.ts";
import { filterWith, foldBytes, forgetRecords, type StreamFold } from "./stream-fold.ts";

const COMMITS_PER_CHECKPOINT = 500;
const BYTES_PER_CHECKPOINT = 4 * 1024 * 1024;
const FORGETTABLE_PER_CHECKPOINT = 1000;
/** One forgettable fact for so many bytes of the last checkpoint makes the next one worth it. */
const BYTES_PER_FORGETTABLE = 4096;
const CHUNK_ROWS = 500;
const CONCURRENT_MAX = 2;

/** Decides when a stream is due for a checkpoint and makes it. */
export interface Checkpointer {
  /** Looks at an entry after a commit; starts a checkpoint in the background when one is due. */
  readonly consider: <State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ) => void;
  /** Makes a checkpoint of an entry now. */
  readonly checkpoint: <State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ) => Promise<void>;
}

/** What the checkpointer works with. */
export interface CheckpointerOptions {
  readonly records: RecordStore;
  readonly checkpoints: CheckpointStore;
  readonly committer: Committer;
  readonly budget: CacheBudget;
  readonly observer: EngineObserver;
}

/** Makes the checkpointer of a process. */
export function makeCheckpointer(options: CheckpointerOptions): Checkpointer {
  const { records, checkpoints, committer, budget, observer } = options;
  const waiting: (() => Promise<void>)[] = [];
  let running = 0;

  function isDue<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
    fold: StreamFold<State>,
  ): boolean {
    const { checkpointBytes, commitsSinceCheckpoint: commits, bytesSinceCheckpoint: bytes } = entry;
    const isLong = commits >= COMMITS_PER_CHECKPOINT || bytes >= BYTES_PER_CHECKPOINT;
    const forgettableMin = Math.max(
      FORGETTABLE_PER_CHECKPOINT,
      checkpointBytes / BYTES_PER_FORGETTABLE,
    );
    // No more is written for checkpoints than for the commits themselves, however large the state.
    return (
      (isLong && bytes >= checkpointBytes) ||
      entry.aggregate.forgettableCount(fold.state) >= forgettableMin
    );
  }

  async function checkpoint<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ): Promise<void> {
    const { aggregate, stream } = entry;
    const fold = entry.fold;
    if (!fold || fold.revision === 0) return;
    const commits = entry.commitsSinceCheckpoint;
    const bytes = entry.bytesSinceCheckpoint;
    const rows = aggregate.forgettable(fold.state);
    for (let start = 0; start < rows.length; start += CHUNK_ROWS) {
      const chunk = rows.slice(start, start + CHUNK_ROWS);
      await records.insert(
        chunk.map(({ body, ...row }) => ({ stream, ...row, bodyText: JSON.stringify(body) })),
      );
    }
    const forgotten = filterWith(fold, rows);
    const stored = checkpointOf(aggregate, stream, forgetRecords(aggregate, fold, rows, forgotten));
    await checkpoints.put(stored);
    await committer.exclusive(entry, async () => {
      if (!entry.fold) return;
      entry.fold = forgetRecords(aggregate, entry.fold, rows, forgotten);
      budget.measured(entry, foldBytes(aggregate, entry.fold));
      entry.commitsSinceCheckpoint = Math.max(0, entry.commitsSinceCheckpoint - commits);
      entry.bytesSinceCheckpoint = Math.max(0, entry.bytesSinceCheckpoint - bytes);
      entry.checkpointBytes = stored.stateText.length;
    });
    observer.checkpointStored(stream, rows.length, stored.stateText.length);
  }

  async function work(job: () => Promise<void>): Promise<void> {
    running += 1;
    for (let next: (() => Promise<void>) | undefined = job; next; next = waiting.shift()) {
      await next();
    }
    running -= 1;
  }

  function consider<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ): void {
    if (entry.checkpointing || !entry.fold || !isDue(entry, entry.fold)) return;
    entry.checkpointing = true;
    const job = async (): Promise<void> => {
      try {
        await checkpoint(entry);
      } catch (error) {
        observer.backgroundFailed("checkpoint", error);
      } finally {
        entry.checkpointing = false;
      }
    };
    if (running >= CONCURRENT_MAX) waiting.push(job);
    else void work(job);
  }

  return { consider, checkpoint };
}
