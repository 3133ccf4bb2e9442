/** What every journal promises. */
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { StreamName } from "../../../src/core/shared/ids.ts";
import type { JournalStore, StoredCommit, TimedPoint } from "../../../src/engine/ports.ts";
import { shardOf, streamName } from "../../../src/engine/stream-name.ts";
import { comparable, freshStream, sampleCommit, sampleCommits } from "../samples.ts";
import type { CaseSetup } from "../case-setup.ts";

const timeoutMs = 10_000;
const mebibyte = 1024 * 1024;

async function readAll(journal: JournalStore, stream: StreamName): Promise<StoredCommit[]> {
  const page = await journal.readAfter([{ stream, revision: 0 }]);
  return [...page.commits];
}

/** Revisions of a page, by stream. */
function revisionsOf(commits: readonly StoredCommit[], stream: StreamName): number[] {
  return commits.filter((commit) => commit.stream === stream).map((commit) => commit.revision);
}

function appendCases(setup: CaseSetup): void {
  const journal = (): JournalStore => setup.storage().journal;

  it("answers a stored commit exactly as it was appended", async () => {
    const stream = freshStream();
    const commit = sampleCommit(stream, 1, {
      commandsText: '[{"actor":"\\u0000 \u{1f680} ü"}]',
      eventsText: '[{"text":"a\\"b\\\\c \\ud800 \u{10ffff}"}]',
      formatVersion: 3,
    });
    expect(await journal().append([commit], timeoutMs)).toEqual(["stored"]);
    expect((await readAll(journal(), stream)).map(comparable)).toEqual([comparable(commit)]);
  });

  it("lets the first writer have a revision and tells the second that it is taken", async () => {
    const stream = freshStream();
    const first = sampleCommit(stream, 1);
    const second = sampleCommit(stream, 1, { eventsText: "[]" });
    expect(await journal().append([first], timeoutMs)).toEqual(["stored"]);
    expect(await setup.otherStorage().journal.append([second], timeoutMs)).toEqual(["taken"]);
    expect((await readAll(journal(), stream)).map(comparable)).toEqual([comparable(first)]);
  });

  it("answers taken for a commit that landed before, with its own commit id in place", async () => {
    const commit = sampleCommit(freshStream(), 1);
    await journal().append([commit], timeoutMs);
    expect(await journal().append([commit], timeoutMs)).toEqual(["taken"]);
    const [stored] = await journal().readAt([commit]);
    expect(stored?.commitId).toBe(commit.commitId);
  });

  it("stores the others of a batch when one is taken or refused", async () => {
    const [left, middle, right] = [freshStream(), freshStream(), freshStream()];
    await journal().append([sampleCommit(middle, 1)], timeoutMs);
    const tooLarge = sampleCommit(right, 1, { eventsText: "x".repeat(17 * mebibyte) });
    const outcomes = await journal().append(
      [sampleCommit(left, 1), sampleCommit(middle, 1), tooLarge, sampleCommit(right, 2)],
      timeoutMs,
    );
    expect(outcomes).toEqual(["stored", "taken", "rejected", "stored"]);
    expect(await journal().probe([tooLarge])).toEqual([]);
  });

  it("takes a batch whose texts are larger than one command may be", async () => {
    const streams = Array.from({ length: 6 }, () => freshStream());
    const eventsText = `"${"ü".repeat(2 * mebibyte)}"`;
    const outcomes = await journal().append(
      streams.map((stream) => sampleCommit(stream, 1, { eventsText })),
      timeoutMs,
    );
    expect(outcomes).toEqual(streams.map(() => "stored"));
  });

  it("gives one revision to exactly one of many writers at once", async () => {
    const stream = freshStream();
    const contenders = Array.from({ length: 20 }, () => sampleCommit(stream, 1));
    const stores = [journal(), setup.otherStorage().journal];
    const outcomes = await Promise.all(
      contenders.map(async (contender, index) => {
        const store = stores[index % stores.length] ?? journal();
        return (await store.append([contender], timeoutMs))[0];
      }),
    );
    expect(outcomes.filter((outcome) => outcome === "stored")).toHaveLength(1);
    const [stored] = await journal().readAt([{ stream, revision: 1 }]);
    expect(stored?.commitId).toBe(contenders[outcomes.indexOf("stored")]?.commitId);
  });

  it("keeps streams apart whose ids contain the separators of keys", async () => {
    const namespace = randomUUID();
    const plain = streamName("runtime", namespace, "a");
    const inside = streamName("runtime", namespace, "a:000000000001/b%");
    await journal().append([sampleCommit(plain, 1), ...sampleCommits(inside, 1, 3)], timeoutMs);
    expect(revisionsOf(await readAll(journal(), plain), plain)).toEqual([1]);
    expect(await journal().headOf(plain)).toBe(1);
    expect(await journal().headOf(inside)).toBe(3);
  });
}

function readCases(setup: CaseSetup): void {
  const journal = (): JournalStore => setup.storage().journal;

  it("reads each stream in order from the point that is asked for", async () => {
    const [left, right] = [freshStream(), freshStream()];
    const commits = [...sampleCommits(left, 1, 12), ...sampleCommits(right, 1, 5)];
    await journal().append(commits.toReversed(), timeoutMs);
    const page = await journal().readAfter([
      { stream: left, revision: 8 },
      { stream: right, revision: 0 },
      { stream: freshStream(), revision: 0 },
    ]);
    expect(page.complete).toBe(true);
    expect(revisionsOf(page.commits, left)).toEqual([9, 10, 11, 12]);
    expect(revisionsOf(page.commits, right)).toEqual([1, 2, 3, 4, 5]);
  });

  it("keeps the commits of a stream together in a page", async () => {
    const streams = Array.from({ length: 8 }, () => freshStream());
    await journal().append(
      streams.flatMap((stream) => sampleCommits(stream, 1, 3)),
      timeoutMs,
    );
    const page = await journal().readAfter(streams.map((stream) => ({ stream, revision: 0 })));
    const order = page.commits.map((commit) => commit.stream);
    const changes = order.filter((stream, index) => stream !== order[index - 1]);
    expect(changes).toHaveLength(streams.length);
  });

  it("cuts a page at its byte budget, and reading on from there misses nothing", async () => {
    const stream = freshStream();
    const eventsText = `"${"x".repeat(3 * mebibyte)}"`;
    const commits = Array.from({ length: 12 }, (_, index) =>
      sampleCommit(stream, index + 1, { eventsText }),
    );
    await journal().append(commits, timeoutMs);
    const revisions: number[] = [];
    let pages = 0;
    for (let isComplete = false; !isComplete; pages += 1) {
      const page = await journal().readAfter([{ stream, revision: revisions.at(-1) ?? 0 }]);
      expect(page.commits.length).toBeGreaterThan(0);
      expect(page.commits.length).toBeLessThanOrEqual(6);
      revisions.push(...revisionsOf(page.commits, stream));
      isComplete = page.complete;
    }
    expect(revisions).toEqual(commits.map((commit) => commit.revision));
    expect(pages).toBeGreaterThan(1);
  });

  it("answers at least one commit however large it is", async () => {
    const stream = freshStream();
    const eventsText = `"${"x".repeat(15 * mebibyte)}"`;
    await journal().append([sampleCommit(stream, 1, { eventsText })], timeoutMs);
    const page = await journal().readAfter([{ stream, revision: 0 }]);
    expect(revisionsOf(page.commits, stream)).toEqual([1]);
  });

  it("shows a hole as it is, for the engine to refuse", async () => {
    const stream = freshStream();
    await journal().append([sampleCommit(stream, 1), sampleCommit(stream, 3)], timeoutMs);
    expect(revisionsOf(await readAll(journal(), stream), stream)).toEqual([1, 3]);
    expect(await journal().headOf(stream)).toBe(3);
  });

  it("reads many streams at once", async () => {
    const streams = Array.from({ length: 450 }, () => freshStream());
    await journal().append(
      streams.map((stream) => sampleCommit(stream, 1)),
      timeoutMs,
    );
    const page = await journal().readAfter(streams.map((stream) => ({ stream, revision: 0 })));
    expect(new Set(page.commits.map((commit) => commit.stream))).toEqual(new Set(streams));
    const found = await journal().probe(streams.map((stream) => ({ stream, revision: 1 })));
    expect(found).toHaveLength(streams.length);
  });

  it("answers the commits at exact points and leaves absent ones out", async () => {
    const stream = freshStream();
    await journal().append(sampleCommits(stream, 1, 3), timeoutMs);
    const found = await journal().readAt([
      { stream, revision: 3 },
      { stream, revision: 1 },
      { stream, revision: 9 },
    ]);
    const revisions = new Set(found.map((commit) => commit.revision));
    expect(revisions).toEqual(new Set([1, 3]));
  });

  it("probes which points are taken", async () => {
    const stream = freshStream();
    await journal().append(sampleCommits(stream, 1, 2), timeoutMs);
    const points = [2, 3].map((revision) => ({ stream, revision }));
    expect(await setup.otherStorage().journal.probe(points)).toEqual([{ stream, revision: 2 }]);
    expect(await journal().probe([])).toEqual([]);
  });

  it("knows the head of a stream, and 0 where there is none", async () => {
    const stream = freshStream();
    expect(await journal().headOf(stream)).toBe(0);
    await journal().append(sampleCommits(stream, 1, 11), timeoutMs);
    expect(await journal().headOf(stream)).toBe(11);
  });

  it("finds the streams of a shard", async () => {
    const stream = freshStream();
    await journal().append(sampleCommits(stream, 1, 3), timeoutMs);
    expect(await journal().streamsOfShard(shardOf(stream))).toEqual([stream]);
    expect(await journal().streamsOfShard("0".repeat(16))).toEqual([]);
  });
}

function barrierCases(setup: CaseSetup): void {
  it("answers the same token from every barrier of one life of the database", async () => {
    const journal = setup.storage().journal;
    const tokens = [await journal.barrier(), await journal.barrier(), await journal.barrier()];
    expect(new Set(tokens).size).toBe(1);
    expect(tokens[0]).not.toBe("");
  });

  it("resolves barriers asked for at once", async () => {
    const journal = setup.storage().journal;
    const tokens = await Promise.all(Array.from({ length: 8 }, () => journal.barrier()));
    expect(new Set(tokens).size).toBe(1);
  });
}

function timeCases(setup: CaseSetup): void {
  it("pages through the points since a time, in time order and each once", async () => {
    const journal = setup.storage().journal;
    // A time of its own, later than anything another case writes.
    const since = 4_000_000_000_000 + Math.floor(Math.random() * 1e9) * 100;
    const stream = freshStream();
    const others = Array.from({ length: 9 }, () => freshStream());
    const ticks = [
      ...[1, 2, 3].map((revision) => sampleCommit(stream, revision, { at: since + revision })),
      ...others.map((other) => sampleCommit(other, 1, { at: since + 2 })),
    ];
    await journal.append([sampleCommit(freshStream(), 1, { at: since - 1 })], timeoutMs);
    await journal.append(ticks, timeoutMs);
    const seen: TimedPoint[] = [];
    for (;;) {
      const page = await journal.pointsSince(since, 4, seen.at(-1));
      const mine = page.filter((point) => point.at < since + 100);
      expect(page.length).toBeLessThanOrEqual(4);
      seen.push(...mine);
      if (mine.length < 4) break;
    }
    const times = seen.map((point) => point.at);
    expect(times).toEqual(times.toSorted((left, right) => left - right));
    const names = seen.map((point) => `${point.stream}@${point.revision}`);
    expect(names.toSorted()).toEqual(
      ticks.map((commit) => `${commit.stream}@${commit.revision}`).toSorted(),
    );
  });

  it("tells its own time, which does not run backwards", async () => {
    const first = await setup.storage().databaseTime();
    const second = await setup.otherStorage().databaseTime();
    expect(Number.isInteger(first)).toBe(true);
    expect(second).toBeGreaterThanOrEqual(first);
  });
}

/** See the header of this file. */
export function journalCases(setup: CaseSetup): void {
  describe("journal", () => {
    appendCases(setup);
    readCases(setup);
    barrierCases(setup);
    timeCases(setup);
  });
}
