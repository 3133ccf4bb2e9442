import { expect, test } from "vitest";
import { runtimeAggregate } from "./aggregate.ts";
import { throughStorage } from "../shared/testing/storage-codec.ts";
import {
  externalEvent,
  ingestCommand,
  operation,
  peer,
  prompt,
  registeredStory,
} from "./testing/story.ts";

const { facts, stateFromJson, stateToJson } = runtimeAggregate;

/** A runtime in the middle of everything. */
function busyStory() {
  const story = registeredStory({ labels: { team: "a" } });
  story.ingest("done", prompt("1"), { idempotencyKey: "k-done" });
  story.drain();
  story.ingest("operation", operation());
  story.ingest("old draft", prompt("2"), { supersessionKey: "draft" });
  story.ingest("draft", prompt("3"), { supersessionKey: "draft", idempotencyKey: "k-draft" });
  story.ingest("steered", prompt("4", "steer"));
  story.ingest("event", externalEvent());
  story.attach();
  story.assign();
  story.boundary();
  story.ingest("progress", peer("response_progress"), { supersessionKey: "r" });
  return story;
}

test("a state survives its checkpoint: everything is found where it was", () => {
  const story = busyStory();
  const before = story.state;
  const after = stateFromJson(throughStorage(stateToJson(before)));
  expect(stateToJson(after)).toEqual(stateToJson(before));
  for (const member of ["queueLane", "steerLane", "admitted", "receipts"] as const) {
    expect([...after[member].entries()]).toEqual([...before[member].entries()]);
  }
  for (const member of ["inputs", "keys", "superseding"] as const) {
    expect([...after[member].entries()]).toEqual([...before[member].entries()]);
  }
  expect(facts(after)).toEqual(facts(before));
});

test("after a reload the runtime goes on as if nothing had happened", () => {
  const kept = busyStory();
  const reloaded = busyStory();
  reloaded.reload();
  for (const story of [kept, reloaded]) {
    story.complete();
    story.drain();
    story.ingest("again", prompt("5"), { idempotencyKey: "k-draft" });
  }
  expect(stateToJson(reloaded.state)).toEqual(stateToJson(kept.state));
});

test("a checkpoint of 100,000 queued inputs keeps them all in order", () => {
  const story = registeredStory({ queueLimit: 100_000 });
  let { state } = story;
  for (let ordinal = 1; ordinal <= 100_000; ordinal += 1) {
    const { input, bodyHash, payloadBytes } = ingestCommand(`input-${ordinal}`, externalEvent());
    state = runtimeAggregate.evolve(
      state,
      {
        type: "input_admitted",
        input,
        ordinal,
        policy: "1/queue/idle",
        bodyHash,
        payloadBytes,
        wakes: true,
      },
      { revision: ordinal + 1, index: 0, at: 1 },
    );
  }
  const loaded = stateFromJson(throughStorage(stateToJson(state)));
  expect(loaded.queueLane.size).toBe(100_000);
  expect([loaded.queueLane.get(1), loaded.queueLane.get(100_000)]).toEqual([
    "input-1",
    "input-100000",
  ]);
});
