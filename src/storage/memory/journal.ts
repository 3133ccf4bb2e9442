/** The journal in memory: per stream its commits in order, beside an index by time. */
import type { Revision, StreamName } from "../../core/shared/ids.ts";
import { commitKey, shardOf } from "../../engine/stream-name.ts";
import type {
  AppendOutcome,
  Clock,
  CommitPage,
  JournalStore,
  StoredCommit,
  StreamPoint,
  TimedPoint,
} from "../../engine/ports.ts";
import { StorageError } from "../../engine/ports.ts";
import type { MemoryGate } from "./gate.ts";
import { makeTimeIndex, type TimedKey } from "./order.ts";
import type { WriteLog } from "./write-log.ts";

/** A commit above this size is refused, as a document over 16 MiB is by the database. */
const commitBytesMax = 16 * 1024 * 1024 - 16 * 1024;
/** One read answers at most this many bytes, and at least one commit. */
const readBytesMax = 16 * 1024 * 1024;
/** More bytes than a character can take in UTF-8. */
const bytesPerCharacterMax = 3;

/** The commits of a memory database, shared by its connections. */
export interface JournalTable {
  readonly append: (commits: readonly StoredCommit[]) => readonly AppendOutcome[];
  readonly readAfter: (points: readonly StreamPoint[]) => CommitPage;
  readonly readAt: (points: readonly StreamPoint[]) => readonly StoredCommit[];
  readonly probe: (points: readonly StreamPoint[]) => readonly StreamPoint[];
  readonly pointsSince: (
    since: number,
    limit: number,
    after: TimedPoint | undefined,
  ) => readonly TimedPoint[];
  readonly streamsOfShard: (shard: string) => readonly StreamName[];
  readonly headOf: (stream: StreamName) => Revision;
}

function textBytes(commit: StoredCommit): number {
  const characters = commit.commandsText.length + commit.eventsText.length;
  if (characters * bytesPerCharacterMax <= commitBytesMax) return characters;
  return Buffer.byteLength(commit.commandsText) + Buffer.byteLength(commit.eventsText);
}

function timedKey(commit: StoredCommit): TimedKey {
  return { at: commit.at, name: commitKey(commit.stream, commit.revision) };
}

/** Index of the first commit with a revision above `revision`. */
function indexAfter(commits: readonly StoredCommit[], revision: Revision): number {
  let low = 0;
  let high = commits.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const commit = commits[middle];
    if (commit !== undefined && commit.revision <= revision) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** An empty journal. */
export function makeJournalTable(log: WriteLog): JournalTable {
  const streams = new Map<StreamName, StoredCommit[]>();
  const streamsByShard = new Map<string, Set<StreamName>>();
  const byTime = makeTimeIndex<StoredCommit>();

  function commitAt(point: StreamPoint): StoredCommit | undefined {
    const commits = streams.get(point.stream);
    if (commits === undefined) return undefined;
    const commit = commits[indexAfter(commits, point.revision) - 1];
    return commit?.revision === point.revision ? commit : undefined;
  }

  function remove(commit: StoredCommit): void {
    const commits = streams.get(commit.stream);
    const index = commits?.indexOf(commit) ?? -1;
    if (commits === undefined || index < 0) return;
    commits.splice(index, 1);
    byTime.delete(timedKey(commit));
    if (commits.length > 0) return;
    streams.delete(commit.stream);
    streamsByShard.get(shardOf(commit.stream))?.delete(commit.stream);
  }

  function openStream(stream: StreamName): StoredCommit[] {
    const commits: StoredCommit[] = [];
    streams.set(stream, commits);
    const shard = shardOf(stream);
    const names = streamsByShard.get(shard) ?? new Set();
    streamsByShard.set(shard, names.add(stream));
    return commits;
  }

  function appendOne(commit: StoredCommit): AppendOutcome {
    if (textBytes(commit) > commitBytesMax) return "rejected";
    const commits = streams.get(commit.stream) ?? openStream(commit.stream);
    const index = indexAfter(commits, commit.revision);
    if (commits[index - 1]?.revision === commit.revision) return "taken";
    commits.splice(index, 0, commit);
    byTime.set(timedKey(commit), commit);
    log.wrote(() => {
      remove(commit);
    });
    return "stored";
  }

  function readAfter(points: readonly StreamPoint[]): CommitPage {
    const page: StoredCommit[] = [];
    let bytes = 0;
    for (const point of points) {
      const commits = streams.get(point.stream) ?? [];
      for (let index = indexAfter(commits, point.revision); index < commits.length; index += 1) {
        const commit = commits[index];
        if (commit === undefined) break;
        bytes += textBytes(commit);
        if (page.length > 0 && bytes > readBytesMax) return { commits: page, complete: false };
        page.push(commit);
      }
    }
    return { commits: page, complete: true };
  }

  function pointsSince(
    since: number,
    limit: number,
    after: TimedPoint | undefined,
  ): readonly TimedPoint[] {
    const from: TimedKey =
      after !== undefined && after.at >= since
        ? { at: after.at, name: commitKey(after.stream, after.revision) }
        : { at: since, name: "" };
    const points: TimedPoint[] = [];
    for (const [key, commit] of byTime.entries(from)) {
      if (points.length >= limit) break;
      if (key.name === from.name) continue;
      points.push({ stream: commit.stream, revision: commit.revision, at: commit.at });
    }
    return points;
  }

  return {
    append: (commits) => commits.map(appendOne),
    readAfter,
    readAt: (points) => points.map(commitAt).filter((commit) => commit !== undefined),
    probe: (points) => points.filter((point) => commitAt(point) !== undefined),
    pointsSince,
    streamsOfShard: (shard) => [...(streamsByShard.get(shard) ?? [])],
    headOf: (stream) => streams.get(stream)?.at(-1)?.revision ?? 0,
  };
}

/** Rejects after `timeoutMs` on the clock when `work` did not settle before. */
function within<Answer>(clock: Clock, timeoutMs: number, work: Promise<Answer>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => {
      reject(new StorageError("unavailable", `no answer within ${timeoutMs} ms`));
    });
    work.then(resolve, reject).finally(cancel);
  });
}

/** The journal as one connection sees it. */
export function makeMemoryJournal(
  table: JournalTable,
  gate: MemoryGate,
  log: WriteLog,
  clock: Clock,
): JournalStore {
  return {
    append: (commits, timeoutMs) =>
      within(
        clock,
        timeoutMs,
        gate.run("journal", "append", true, () => table.append(commits)),
      ),
    readAfter: (points) => gate.run("journal", "readAfter", false, () => table.readAfter(points)),
    readAt: (points) => gate.run("journal", "readAt", false, () => table.readAt(points)),
    probe: (points) => gate.run("journal", "probe", false, () => table.probe(points)),
    readsAreDurable: false,
    barrier: () =>
      gate.run("journal", "barrier", true, () => {
        log.flush();
        return `life-${log.incarnation()}`;
      }),
    pointsSince: (since, limit, after) =>
      gate.run("journal", "pointsSince", false, () => table.pointsSince(since, limit, after)),
    streamsOfShard: (shard) =>
      gate.run("journal", "streamsOfShard", false, () => table.streamsOfShard(shard)),
    headOf: (stream) => gate.run("journal", "headOf", false, () => table.headOf(stream)),
  };
}
