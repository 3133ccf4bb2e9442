import { expect, it } from "vitest";
import { makeProgressFeed, type ProgressLines } from "./progress-feed.ts";

/** Far longer than a test: nothing is published before `finish`. */
const NEVER_MS = 1_000_000;

function makeFeed(intervalMs: number) {
  const published: ProgressLines[] = [];
  const feed = makeProgressFeed({
    intervalMs,
    publish: (progress) => {
      published.push(progress);
      return Promise.resolve();
    },
  });
  const push = (...texts: string[]): void => {
    for (const text of texts) feed.push({ text, isCut: false });
  };
  return { feed, published, push };
}

it("publishes together what waits, but not the line that is the result", async () => {
  const { feed, published, push } = makeFeed(NEVER_MS);
  push("one", "", "two", "result");
  await feed.finish(true);
  expect(published).toEqual([{ lines: ["one", "two"], omitted: 0 }]);
});

it("publishes the last line, too, when the result is elsewhere", async () => {
  const { feed, published, push } = makeFeed(NEVER_MS);
  push("one", "two");
  await feed.finish(false);
  expect(published).toEqual([{ lines: ["one", "two"], omitted: 0 }]);
});

it("publishes nothing of a command that says its result only", async () => {
  const { feed, published, push } = makeFeed(NEVER_MS);
  push("result");
  await feed.finish(true);
  expect(published).toEqual([]);
});

it("keeps the newest lines and counts what it leaves out", async () => {
  const { feed, published, push } = makeFeed(NEVER_MS);
  push(...Array.from({ length: 60 }, (_, index) => `line ${index}`));
  await feed.finish(false);
  expect(published).toHaveLength(1);
  expect(published[0]?.omitted).toBe(10);
  expect(published[0]?.lines.at(0)).toBe("line 10");
  expect(published[0]?.lines.at(-1)).toBe("line 59");
});

it("shortens long lines", async () => {
  const { feed, published, push } = makeFeed(NEVER_MS);
  push("x".repeat(5_000));
  await feed.finish(false);
  expect(published[0]?.lines[0]).toHaveLength(1_000);
  expect(published[0]?.lines[0]?.endsWith("x…")).toBe(true);
});

it("says nothing of a run that was lost", async () => {
  const { feed, published, push } = makeFeed(NEVER_MS);
  push("one");
  feed.cancel();
  push("two");
  await feed.finish(false);
  expect(published).toEqual([]);
});

it("publishes while the command goes on", async () => {
  const { promise, resolve } = Promise.withResolvers<ProgressLines>();
  const feed = makeProgressFeed({
    intervalMs: 1,
    publish: (progress) => {
      resolve(progress);
      return Promise.resolve();
    },
  });
  feed.push({ text: "half", isCut: false });
  expect(await promise).toEqual({ lines: ["half"], omitted: 0 });
});
