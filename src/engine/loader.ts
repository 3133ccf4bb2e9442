/**
 * Loads folds: the newest checkpoint and the commits after it. Loads asked for in one tick share
 * their queries; a stream is loaded once at a time.
 */
import { foldFromCheckpoint } from "./checkpoint-codec.ts";
import type { Aggregate } from "../core/shared/aggregate.ts";
import type { StreamName } from "../core/shared/ids.ts";
import { RefusedError } from "../core/shared/refusal.ts";
import { type DurableReads, HOLE_READS_MAX } from "./durable-reads.ts";
import type { EngineObserver } from "./observer.ts";
import type { CheckpointStore, Clock, StoredCheckpoint, StoredCommit } from "./ports.ts";
import type { CacheBudget } from "./stream-cache.ts";
import { foldBytes, foldCommit, initialFold } from "./stream-fold.ts";
import type { StreamEntry } from "./stream-entry.ts";

const GROUP_MAX = 200;

/** Loads entries on demand. */
export interface Loader {
  /** Resolves when the entry has a fold. */
  readonly load: <State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ) => Promise<void>;
}

/** What the loader works with. */
export interface LoaderOptions {
  readonly reads: DurableReads;
  readonly budget: CacheBudget;
  readonly checkpoints: CheckpointStore;
  readonly clock: Clock;
  readonly observer: EngineObserver;
}

/** One stream being loaded, with its types closed over. */
interface LoadJob {
  readonly stream: StreamName;
  readonly foldVersion: number;
  readonly begin: (checkpoint: StoredCheckpoint | undefined) => void;
  /** Folds commits; false when one is missing before `commit`. */
  readonly accept: (commit: StoredCommit) => boolean;
  readonly revision: () => number;
  readonly finish: (error: unknown) => void;
}

function makeJob<State, Command, Event, Reply>(
  entry: StreamEntry<State, Command, Event, Reply>,
  budget: CacheBudget,
  finish: (error: unknown) => void,
): LoadJob {
  const aggregate: Aggregate<State, Command, Event, Reply> = entry.aggregate;
  let fold = initialFold(aggregate.initial);
  let commits = 0;
  let bytes = 0;
  let checkpointBytes = 0;
  return {
    stream: entry.stream,
    foldVersion: aggregate.foldVersion,
    begin: (checkpoint) => {
      if (!checkpoint) return;
      fold = foldFromCheckpoint(aggregate, checkpoint);
      checkpointBytes = checkpoint.stateText.length;
    },
    accept: (commit) => {
      if (commit.revision > fold.revision + 1) return false;
      if (commit.revision <= fold.revision) return true;
      fold = foldCommit(aggregate, fold, commit).after;
      commits += 1;
      bytes += commit.eventsText.length;
      return true;
    },
    revision: () => fold.revision,
    finish: (error) => {
      if (error === null) {
        entry.fold = fold;
        budget.measured(entry, foldBytes(aggregate, fold));
        entry.commitsSinceCheckpoint = commits;
        entry.bytesSinceCheckpoint = bytes;
        entry.checkpointBytes = checkpointBytes;
      } else if (error instanceof RefusedError) {
        entry.broken = error;
      }
      finish(error);
    },
  };
}

/** Makes the loader of a process. */
export function makeLoader(options: LoaderOptions): Loader {
  const { reads, checkpoints, clock, observer } = options;
  let waiting: LoadJob[] = [];

  async function readTails(jobs: readonly LoadJob[]): Promise<void> {
    let open = [...jobs];
    for (let holes = 0; open.length > 0; ) {
      const page = await reads.readAfter(
        open.map((job) => ({ stream: job.stream, revision: job.revision() })),
      );
      const byStream = new Map(open.map((job) => [job.stream, job]));
      const holed = new Set<LoadJob>();
      for (const commit of page.commits) {
        const job = byStream.get(commit.stream);
        if (!job || holed.has(job)) continue;
        if (job.accept(commit)) continue;
        holes += 1;
        if (holes > HOLE_READS_MAX * jobs.length) assertNoHole(job, commit);
        holed.add(job);
      }
      open = page.complete ? [...holed] : open;
    }
  }

  function assertNoHole(job: LoadJob, commit: StoredCommit): never {
    throw new RefusedError({
      reason: "STREAM_CORRUPT",
      message: `Revision ${job.revision() + 1} is missing from the journal; restore a backup`,
      metadata: { stream: job.stream, revision: String(commit.revision) },
    });
  }

  async function loadGroup(jobs: readonly LoadJob[]): Promise<void> {
    const startedMs = clock.monotonicMs();
    try {
      const version = jobs[0]?.foldVersion ?? 0;
      const latest = await checkpoints.latest(
        jobs.map((job) => job.stream),
        version,
      );
      const byStream = new Map(latest.map((checkpoint) => [checkpoint.stream, checkpoint]));
      for (const job of jobs) job.begin(byStream.get(job.stream));
      await readTails(jobs);
    } catch (error) {
      if (jobs.length === 1) jobs[0]?.finish(error);
      else await Promise.all(jobs.map((job) => loadGroup([job])));
      return;
    }
    for (const job of jobs) {
      observer.streamLoaded(job.stream, job.revision(), clock.monotonicMs() - startedMs);
      job.finish(null);
    }
  }

  function flush(): void {
    const jobs = waiting;
    waiting = [];
    const groups = new Map<number, LoadJob[]>();
    for (const job of jobs) {
      const group = groups.get(job.foldVersion) ?? [];
      group.push(job);
      groups.set(job.foldVersion, group);
    }
    for (const group of groups.values()) {
      for (let start = 0; start < group.length; start += GROUP_MAX) {
        void loadGroup(group.slice(start, start + GROUP_MAX));
      }
    }
  }

  async function load<State, Command, Event, Reply>(
    entry: StreamEntry<State, Command, Event, Reply>,
  ): Promise<void> {
    if (entry.broken) throw entry.broken;
    if (entry.fold) return;
    entry.loading ??= new Promise<void>((resolve, reject) => {
      const job = makeJob(entry, options.budget, (error) => {
        entry.loading = null;
        if (error === null) resolve();
        else reject(error instanceof Error ? error : new Error("load failed", { cause: error }));
      });
      waiting.push(job);
      if (waiting.length === 1) setImmediate(flush);
    });
    await entry.loading;
  }

  return { load };
}
