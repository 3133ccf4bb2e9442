import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { registeredStory } from "../../core/runtime/testing/story.ts";
import { canonicalText } from "../../engine/commit-codec.ts";

test("a continuation is admitted with the hash and the size that an ingest would give it", () => {
  const story = registeredStory();
  story.operate("a");
  story.finish("a");
  const event = story.commits.at(-1)?.events.find(({ type }) => type === "input_admitted");
  if (event?.type !== "input_admitted") throw new Error("no continuation");
  const { inputId, source, durability, transcriptEligible, operatorEligible, body } = event.input;
  const content = { source, durability, transcriptEligible, operatorEligible, body };
  expect(event.bodyHash).toBe(createHash("sha256").update(canonicalText(content)).digest("hex"));
  expect(event.payloadBytes).toBe(Buffer.byteLength(canonicalText(event.input)));
  expect(story.header(inputId).policy).toBe("1/continuation_steer/idle");
});
