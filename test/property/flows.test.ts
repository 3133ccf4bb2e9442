// What goes from stream to stream, with replicas that die between any two steps and messages that
// come late, twice, or after their sender's death.
import fc from "fast-check";
import { expect, test } from "vitest";
import { tellFlowStory } from "./support/flow-story.ts";
import { storyTapes } from "./support/tape.ts";

const RUNS = Number(process.env["KEELSON_PROPERTY_RUNS"] ?? 300);
/** Ends the search for a simpler story in time for seed and path to be printed. */
const LIMITS = { interruptAfterTimeLimit: 120_000 };

test("grants are conserved, nobody granted is an orphan, and wakes come once", async () => {
  let answered = 0;
  await fc.assert(
    fc.asyncProperty(storyTapes, async (choices) => {
      const end = await tellFlowStory(choices);
      answered += end.answered;
      expect(end.violations).toEqual([]);
    }),
    { ...LIMITS, numRuns: RUNS },
  );
  expect(answered).toBeGreaterThan(RUNS * 5);
});
