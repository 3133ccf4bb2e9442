import { expect, test } from "vitest";
import { streamNameOf } from "../core/shared/ids.ts";
import { makeCoalesced, makeDurableReads } from "./durable-reads.ts";
import type { JournalStore, StoredCommit } from "./ports.ts";

const stream = streamNameOf("ledger/default/one");

function commitAt(revision: number): StoredCommit {
  const texts = { commandsText: "[]", eventsText: "[]" };
  const hash = new Uint8Array(32);
  return { stream, revision, at: 1, commitId: `c${revision}`, ...texts, hash, formatVersion: 1 };
}

/** A journal that answers pages and tokens in order and notes what it was asked. */
function scripted(
  pages: readonly (readonly number[])[],
  tokens: readonly string[],
  readsAreDurable = false,
): { readonly journal: JournalStore; readonly asked: string[] } {
  const asked: string[] = [];
  const left = { pages: [...pages], tokens: [...tokens] };
  const journal: JournalStore = {
    readsAreDurable,
    append: async () => [],
    readAfter: async () => {
      asked.push("read");
      return { commits: (left.pages.shift() ?? []).map(commitAt), complete: true };
    },
    readAt: async () => {
      asked.push("read");
      return (left.pages.shift() ?? []).map(commitAt);
    },
    probe: async () => [],
    barrier: async () => {
      asked.push("barrier");
      return left.tokens.shift() ?? "";
    },
    pointsSince: async () => [],
    streamsOfShard: async () => [],
    headOf: async () => 0,
  };
  return { journal, asked };
}

test("what was read is answered after a barrier in the same life of the database", async () => {
  const { journal, asked } = scripted([[1, 2]], ["life-1", "life-1"]);
  const page = await makeDurableReads(journal).readAfter([{ stream, revision: 0 }]);
  expect(page.commits.map((commit) => commit.revision)).toEqual([1, 2]);
  expect(asked).toEqual(["barrier", "read", "barrier"]);
});

test("what was read in an earlier life is read again", async () => {
  const { journal, asked } = scripted([[1, 2], [1]], ["life-1", "life-2", "life-2"]);
  const page = await makeDurableReads(journal).readAfter([{ stream, revision: 0 }]);
  expect(page.commits.map((commit) => commit.revision)).toEqual([1]);
  expect(asked).toEqual(["barrier", "read", "barrier", "read", "barrier"]);
});

test("nothing that was found needs no barrier after it", async () => {
  const { journal, asked } = scripted([[], []], ["life-1"]);
  const reads = makeDurableReads(journal);
  await reads.readAfter([{ stream, revision: 0 }]);
  expect(await reads.readAt({ stream, revision: 1 })).toBeUndefined();
  expect(asked).toEqual(["barrier", "read", "read"]);
});

test("where reads are durable by themselves there are no barriers", async () => {
  const { journal, asked } = scripted([[1]], [], true);
  await makeDurableReads(journal).readAfter([{ stream, revision: 0 }]);
  expect(asked).toEqual(["read"]);
});

test("a tail ends before a hole and says that there is more", async () => {
  const { journal } = scripted([[1, 3]], [], true);
  const page = await makeDurableReads(journal).readTail({ stream, revision: 0 });
  expect(page.commits.map((commit) => commit.revision)).toEqual([1]);
  expect(page.complete).toBe(false);
});

test("a hole at the start is looked at again, and shown when it stays", async () => {
  const passing = scripted([[2], [1, 2]], [], true);
  const healed = await makeDurableReads(passing.journal).readTail({ stream, revision: 0 });
  expect(healed.commits.map((commit) => commit.revision)).toEqual([1, 2]);
  const lasting = scripted([[2], [2], [2], [2], [1, 2]], [], true);
  const torn = await makeDurableReads(lasting.journal).readTail({ stream, revision: 0 });
  expect(torn.commits.map((commit) => commit.revision)).toEqual([2]);
});

test("callers share work that starts after they came", async () => {
  const finish: ((value: number) => void)[] = [];
  const shared = makeCoalesced(() => new Promise<number>((resolve) => finish.push(resolve)));
  const first = shared();
  const second = shared();
  const third = shared();
  expect(finish).toHaveLength(1);
  finish[0]?.(1);
  expect(await first).toBe(1);
  await Promise.resolve();
  expect(finish).toHaveLength(2);
  finish[1]?.(2);
  expect(await Promise.all([second, third])).toEqual([2, 2]);
});

test("work that fails does not stop the work that waits for it", async () => {
  const outcomes = [() => Promise.reject(new Error("first")), () => Promise.resolve("second")];
  const shared = makeCoalesced(() => outcomes.shift()?.() ?? Promise.resolve("later"));
  const [first, second] = [shared(), shared()];
  await expect(first).rejects.toThrow("first");
  expect(await second).toBe("second");
  expect(await shared()).toBe("later");
});
