import { expect, test } from "vitest";
import { runtimeAggregate } from "../core/runtime/aggregate.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import type { RuntimeState } from "../core/runtime/state.ts";
import { streamNameOf } from "../core/shared/ids.ts";
import type { RuntimeCommit } from "../dispatch/runtime-streams.ts";
import { initialFold } from "../engine/stream-fold.ts";
import { makeWatchFeed, type WatchFeed } from "./watch-feed.ts";

const STREAM = streamNameOf("runtime/default/r");
const PUBLISHED: RuntimeEvent = {
  type: "event_published",
  eventId: "e",
  eventCode: "my.event",
  payload: null,
};

function commitOf(revision: number, eventCount: number, eventsText = "[]"): RuntimeCommit {
  const before = initialFold(runtimeAggregate.initial);
  const stored = {
    stream: STREAM,
    revision,
    at: 0,
    commitId: "c",
    commandsText: "[]",
    eventsText,
    hash: new Uint8Array(32),
    formatVersion: 1,
  };
  const events = Array.from({ length: eventCount }, () => PUBLISHED);
  return { stored, commands: [], events, before, after: { ...before, revision }, isOwn: true };
}

interface OpenFeed {
  readonly feed: WatchFeed<RuntimeState, RuntimeEvent>;
  readonly commit: (revision: number, eventCount: number, eventsText?: string) => void;
  readonly isListening: () => boolean;
  readonly expire: () => void;
  readonly abort: () => void;
}

function openFeed(bufferEventsMax: number): OpenFeed {
  let listener: ((commit: RuntimeCommit) => void) | undefined;
  let timer: () => void = () => undefined;
  const leaving = new AbortController();
  const feed = makeWatchFeed<RuntimeState, RuntimeEvent>({
    streams: {
      listen: (_stream, added) => {
        listener = added;
        return () => {
          listener = undefined;
        };
      },
    },
    stream: STREAM,
    clock: {
      after: (_delayMs, callback) => {
        timer = callback;
        return () => undefined;
      },
    },
    bufferEventsMax,
    bufferBytesMax: 100,
    signals: [leaving.signal],
  });
  return {
    feed,
    commit: (...commit) => listener?.(commitOf(...commit)),
    isListening: () => listener !== undefined,
    expire: () => timer(),
    abort: () => leaving.abort(),
  };
}

test("commits come out in the order they came in", () => {
  const { feed, commit } = openFeed(10);
  commit(1, 2);
  commit(2, 3);
  expect([feed.take()?.after.revision, feed.take()?.after.revision, feed.take()]).toEqual([
    1,
    2,
    undefined,
  ]);
});

test("a commit of any size fits into an empty buffer, and the next one does not", () => {
  const { feed, commit } = openFeed(10);
  commit(1, 1_000);
  expect(feed.isOverflowed()).toBe(false);
  commit(2, 1);
  expect(feed.isOverflowed()).toBe(true);
  expect(feed.take()).toBeUndefined();
});

test("few large events fill the buffer as many small ones do", () => {
  const { feed, commit } = openFeed(10);
  commit(1, 1, "x".repeat(60));
  commit(2, 1, "x".repeat(60));
  expect([feed.isOverflowed(), feed.take()?.after.revision]).toEqual([false, 1]);
  commit(3, 1, "x".repeat(60));
  expect(feed.isOverflowed()).toBe(false);
  commit(4, 1);
  expect(feed.isOverflowed()).toBe(true);
});

test("a reader that keeps up is never cut", () => {
  const { feed, commit } = openFeed(10);
  for (let revision = 1; revision <= 100; revision += 1) {
    commit(revision, 9);
    expect(feed.take()?.after.revision).toBe(revision);
  }
  expect(feed.isOverflowed()).toBe(false);
});

test.each(["commit", "expire", "abort"] as const)("the bell is rung by %s", async (cause) => {
  const open = openFeed(10);
  const arrival = open.feed.arrival(1_000);
  if (cause === "commit") open.commit(1, 1);
  else open[cause]();
  await expect(arrival).resolves.toBeUndefined();
});

test("a closed feed listens no more", () => {
  const { feed, isListening } = openFeed(10);
  expect(isListening()).toBe(true);
  feed.close();
  expect(isListening()).toBe(false);
});
