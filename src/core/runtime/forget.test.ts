import { describe, expect, test } from "vitest";
import { runtimeAggregate } from "./aggregate.ts";
import { headerFromRecord, receiptFromRecord } from "./record-codec.ts";
import { operation, prompt, registeredStory } from "./testing/story.ts";

const { forgettable, forgettableCount } = runtimeAggregate;

describe("forgetting", () => {
  test("moves out what is over: a row per input and receipt, found by id, key and run", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"), { idempotencyKey: "k" });
    const { runId } = story.assign();
    story.boundary();
    story.complete();
    const header = story.header("a");
    const receipt = story.state.receipts.get(1);
    const rows = forgettable(story.state);
    expect(
      rows.map(({ recordClass, ordinal, lookups }) => [recordClass, ordinal, lookups]),
    ).toEqual([
      ["inputs", 1, ["id:a", "key:k"]],
      ["receipts", 1, [`run:${runId}:0`]],
    ]);
    expect(rows.map((row) => row.revision)).toEqual([5, 4]);
    expect(headerFromRecord(rows[0]?.body ?? {})).toEqual(header);
    expect(receiptFromRecord(rows[1]?.body ?? {})).toEqual(receipt);
    story.forget();
    expect([story.state.inputs.size, story.state.keys.size, story.state.receipts.size]).toEqual([
      0, 0, 0,
    ]);
    expect(story.state.counts).toMatchObject({ accepted: 1, consumed: 1 });
    expect(forgettableCount(story.state)).toBe(0);
  });

  test("keeps what is queued, staged or applied, and the receipts of the run in flight", () => {
    const story = registeredStory();
    story.ingest("queued", prompt("1"));
    story.ingest("applied", prompt("2", "steer"));
    story.assign();
    story.ingest("staged", prompt("3", "steer"));
    story.boundary(true);
    expect(forgettableCount(story.state)).toBe(0);
    story.ingest("over", operation());
    expect(forgettableCount(story.state)).toBe(1);
    story.forget();
    expect([...story.state.admitted.values()]).toEqual(["queued", "applied", "staged"]);
    expect(story.state.receipts.size).toBe(1);
    story.boundary();
    story.complete();
    expect(forgettableCount(story.state)).toBe(4);
  });

  test("counts what it would move", () => {
    const story = registeredStory();
    for (const name of ["a", "b", "c"]) story.ingest(name, prompt(name));
    story.drain();
    expect(forgettableCount(story.state)).toBe(forgettable(story.state).length);
    expect(forgettableCount(story.state)).toBe(6);
  });

  test("ordinals and receipts go on where they were", () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.drain();
    story.forget();
    story.reload();
    story.ingest("b", prompt("b"));
    expect(story.header("b").ordinal).toBe(2);
    story.assign();
    expect(story.boundary().receipt.ordinal).toBe(2);
  });
});
