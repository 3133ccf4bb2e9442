import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { streamNameOf } from "../core/shared/ids.ts";
import { type JournalWriter, makeJournalWriter } from "./journal-writer.ts";
import { silentObserver } from "./observer.ts";
import {
  type AppendOutcome,
  type Clock,
  type JournalStore,
  StorageError,
  type StoredCommit,
} from "./ports.ts";

const stream = streamNameOf("ledger/default/one");

function commitAt(revision: number, eventsText = "[]"): StoredCommit {
  const hash = new Uint8Array(32);
  const commitId = `c${revision}`;
  return {
    stream,
    revision,
    at: revision,
    commitId,
    commandsText: "[]",
    eventsText,
    hash,
    formatVersion: 1,
  };
}

/** A clock whose timers fire in the next turn: nothing here depends on how long a pause is. */
const hastyClock: Clock = {
  nowMs: () => 0,
  monotonicMs: () => 0,
  after: (_delayMs, callback) => {
    const timer = setImmediate(callback);
    return () => {
      clearImmediate(timer);
    };
  },
};

function written(
  writer: JournalWriter,
  commit: StoredCommit,
  contended: boolean,
): Promise<AppendOutcome> {
  return new Promise((resolve) => writer.write(commit, contended, resolve));
}

type Append = (commits: readonly StoredCommit[]) => Promise<readonly AppendOutcome[]>;

interface Bench {
  readonly writer: JournalWriter;
  readonly batches: (readonly StoredCommit[])[];
  readonly announced: number[];
}

function makeBench(append: Append): Bench {
  const batches: (readonly StoredCommit[])[] = [];
  const announced: number[] = [];
  const journal: JournalStore = {
    readsAreDurable: true,
    append: async (commits) => {
      batches.push(commits);
      return await append(commits);
    },
    readAfter: async () => ({ commits: [], complete: true }),
    readAt: async () => [],
    probe: async () => [],
    barrier: async () => "",
    pointsSince: async () => [],
    streamsOfShard: async () => [],
    headOf: async () => 0,
  };
  const writer = makeJournalWriter({
    journal,
    clock: hastyClock,
    entropy: { freshId: () => "", random: () => 0 },
    observer: silentObserver,
    onStored: (commits) => announced.push(...commits.map((commit) => commit.revision)),
  });
  return { writer, batches, announced };
}

const stored: Append = async (commits) => commits.map(() => "stored");

test("commits that wait in one turn travel together", async () => {
  const { writer, batches, announced } = makeBench(stored);
  const outcomes = await Promise.all([1, 2, 3].map((it) => written(writer, commitAt(it), false)));
  expect(outcomes).toEqual(["stored", "stored", "stored"]);
  expect(batches.map((batch) => batch.length)).toEqual([3]);
  expect(announced).toEqual([1, 2, 3]);
  expect(writer.backlog()).toEqual({ commits: 0, bytes: 0 });
});

test("a batch leaves beside others when it is no smaller than they are", async () => {
  const releases: (() => void)[] = [];
  const { writer, batches } = makeBench(
    (commits) =>
      new Promise((resolve) => {
        releases.push(() => resolve(commits.map(() => "stored" as const)));
      }),
  );
  const sizesAfter = async (firstRevision: number, count: number): Promise<readonly number[]> => {
    for (let at = 0; at < count; at += 1) {
      void written(writer, commitAt(firstRevision + at), false);
    }
    await nextTurn();
    await nextTurn();
    return batches.map((batch) => batch.length);
  };
  expect(await sizesAfter(1, 3)).toEqual([3]);
  expect(await sizesAfter(4, 2)).toEqual([3]);
  expect(await sizesAfter(6, 1)).toEqual([3, 3]);
  expect(await sizesAfter(7, 5)).toEqual([3, 3]);
  releases[0]?.();
  expect(await sizesAfter(12, 0)).toEqual([3, 3, 5]);
});

test("an unknown outcome is followed by the identical commits until it is known", async () => {
  let failures = 3;
  const { writer, batches } = makeBench(async (commits) => {
    failures -= 1;
    if (failures >= 0) throw new StorageError("unavailable", "no answer");
    return await stored(commits);
  });
  const writing = Promise.all([1, 2].map((it) => written(writer, commitAt(it), false)));
  await nextTurn();
  await nextTurn();
  expect(writer.isFailing()).toBe(true);
  expect(writer.oldestMs()).toBe(1);
  expect(await writing).toEqual(["stored", "stored"]);
  expect(batches).toHaveLength(4);
  for (const batch of batches) expect(batch).toEqual(batches[0]);
  expect(writer.isFailing()).toBe(false);
  expect(writer.oldestMs()).toBeUndefined();
});

test("a batch that is refused as a whole is halved until the culprit stands alone", async () => {
  const { writer, announced } = makeBench(async (commits) => {
    if (commits.some((commit) => commit.revision === 5)) {
      throw new StorageError("rejected", "a document is not acceptable");
    }
    return await stored(commits);
  });
  const writing = Array.from({ length: 8 }, (_, it) => written(writer, commitAt(it + 1), false));
  const outcomes = await Promise.all(writing);
  expect(outcomes.map((outcome, it) => (outcome === "stored" ? 0 : it + 1))).toEqual([
    0, 0, 0, 0, 5, 0, 0, 0,
  ]);
  expect(outcomes[4]).toBe("rejected");
  expect(announced.toSorted((left, right) => left - right)).toEqual([1, 2, 3, 4, 6, 7, 8]);
});

test("a batch that failed before it was refused does not count as failing for ever", async () => {
  const errors = ["unavailable", "rejected"] as const;
  let attempt = 0;
  const { writer } = makeBench(async () => {
    const kind = errors[Math.min(attempt, 1)] ?? "rejected";
    attempt += 1;
    throw new StorageError(kind, kind);
  });
  expect(await written(writer, commitAt(1), false)).toBe("rejected");
  expect(writer.isFailing()).toBe(false);
});

test("outcomes belong to their commits, and only what was stored is announced", async () => {
  const { writer, announced } = makeBench(async (commits) =>
    commits.map((commit) => (commit.revision % 2 === 0 ? "taken" : "stored")),
  );
  const outcomes = await Promise.all([1, 2, 3].map((it) => written(writer, commitAt(it), false)));
  expect(outcomes).toEqual(["stored", "taken", "stored"]);
  expect(announced).toEqual([1, 3]);
});

test("contended and large commits hold up nobody else", async () => {
  const { writer, batches } = makeBench(stored);
  await Promise.all([
    written(writer, commitAt(1), false),
    written(writer, commitAt(2), true),
    written(writer, commitAt(3, `["${"x".repeat(300_000)}"]`), false),
    written(writer, commitAt(4), false),
  ]);
  const lanes = batches.map((batch) => batch.map((commit) => commit.revision));
  expect(new Set(lanes.map(String))).toEqual(new Set(["1,4", "2", "3"]));
});

test("a stopped writer sends nothing more", async () => {
  const { writer, batches } = makeBench(async () => {
    throw new StorageError("unavailable", "no answer");
  });
  void written(writer, commitAt(1), false);
  await nextTurn();
  writer.stop();
  const sent = batches.length;
  for (let turn = 0; turn < 10; turn += 1) await nextTurn();
  expect(batches.length - sent).toBeLessThanOrEqual(1);
  expect(writer.backlog().commits).toBe(1);
});
