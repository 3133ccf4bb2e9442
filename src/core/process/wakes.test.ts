import { describe, expect, test } from "vitest";
import { inputIdOf, runtimeIdOf } from "../shared/ids.ts";
import { processAggregate } from "./aggregate.ts";
import { dueWakes } from "./wakes.ts";
import { declared, PROCESS_ID, registeredStory, type Story } from "./testing/story.ts";

const WEEK_MS = 7 * 24 * 3_600_000;

function wakingStory(): Story {
  const wake = { input: { type: "payload" }, dedupe: { type: "event_identity" } } as const;
  return registeredStory({ eventTypes: [declared("woke", { wake }), declared("quiet")] });
}

const delivered = { type: "delivered", inputId: inputIdOf("input-1") } as const;
const settle = (sequence: number) =>
  ({ type: "settle_wake", sequence, settlement: delivered }) as const;
const defer = (sequence: number, attempts: number) =>
  ({ type: "defer_wake", sequence, attempts, cause: "not_ready" }) as const;
const acknowledge = (sequence: number) =>
  ({ type: "ack_wake", processId: PROCESS_ID, sequence }) as const;
const dueOf = (story: Story) => dueWakes(story.state, story.now).map((wake) => wake.place.sequence);

describe("the outbox", () => {
  test("gives the oldest wake of each runtime, and the next one once it is settled", () => {
    const story = wakingStory();
    story.append("woke", 1);
    story.append("woke", 2);
    story.append("woke", 3, { wakeRuntimeId: runtimeIdOf("other") });
    expect(dueOf(story)).toEqual([1, 3]);
    story.do(settle(1), "done");
    expect(dueOf(story)).toEqual([2, 3]);
  });

  test("P5: a wake is settled once, and what it became stays in its event's header", () => {
    const story = wakingStory();
    story.append("woke");
    expect(story.do(settle(1), "done").changed).toBe(true);
    expect(story.do(settle(1), "done").changed).toBe(false);
    expect(story.state.events.get(1)?.wake?.settlement).toEqual(delivered);
  });

  test("keeps the header of a wake that is not delivered, whatever else is forgotten", () => {
    const story = wakingStory();
    story.append("woke");
    story.append("quiet");
    story.forget();
    expect([...story.state.events.keys()]).toEqual([1]);
    story.do(settle(1), "done");
    story.forget();
    expect(story.state.events.size).toBe(0);
  });

  test("waits longer after every deferral, at most five minutes; of two one counts", () => {
    const story = wakingStory();
    story.append("woke");
    const waits: number[] = [];
    for (let attempts = 0; attempts < 11; attempts += 1) {
      story.do(defer(1, attempts), "done");
      waits.push((story.state.outbox.get(1)?.notBefore ?? 0) - story.now);
    }
    expect(waits).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000,
    ]);
    expect(story.do(defer(1, 3), "done").changed).toBe(false);
    expect(dueOf(story)).toEqual([]);
    story.now += 300_000;
    expect(dueOf(story)).toEqual([1]);
  });

  test("gives a wake up after a week of deferrals", () => {
    const story = wakingStory();
    story.append("woke");
    story.do(defer(1, 0), "done");
    story.now += WEEK_MS;
    story.do(defer(1, 1), "done");
    expect(story.state.events.get(1)?.wake?.settlement).toEqual({
      type: "discarded",
      cause: "expired",
    });
    expect(story.state.outbox.size).toBe(0);
  });

  test("tells the timers when others should look after it", () => {
    const { summarize } = processAggregate;
    const story = wakingStory();
    expect(summarize(story.state).dueAt).toBeUndefined();
    story.append("woke");
    expect(summarize(story.state).dueAt).toBe(story.now + 3_000);
    for (let attempts = 0; attempts < 3; attempts += 1) story.do(defer(1, attempts), "done");
    expect(summarize(story.state).dueAt).toBe(story.now + 4_000);
  });
});

describe("an acknowledgement", () => {
  test("is kept once, before or after the delivery, forgotten or not", () => {
    const story = wakingStory();
    for (let count = 0; count < 3; count += 1) story.append("woke");
    expect(story.do(acknowledge(2), "done").changed).toBe(true);
    expect(story.do(acknowledge(2), "done").changed).toBe(false);
    expect(story.state.unacknowledgedWakes).toEqual([
      [1, 1],
      [3, 3],
    ]);
    for (const sequence of [1, 2, 3]) story.do(settle(sequence), "done");
    story.forget();
    expect(story.do(acknowledge(3), "done").changed).toBe(true);
    expect(story.do(acknowledge(3), "done").changed).toBe(false);
    expect(story.state.unacknowledgedWakes).toEqual([[1, 1]]);
  });

  test("of what is no wake changes nothing", () => {
    const story = wakingStory();
    story.append("woke");
    story.append("quiet");
    expect(story.do(acknowledge(2), "done").changed).toBe(false);
    expect(story.do(acknowledge(99), "done").changed).toBe(false);
  });
});
