// Proof that the stories of flows see what they are there to see: with each of these bugs planted,
// a violation is found within a bounded number of stories.
import fc from "fast-check";
import { expect, test } from "vitest";
import { FLOW_BUGS } from "./support/flow-planted-bugs.ts";
import { tellFlowStory } from "./support/flow-story.ts";
import { storyTapes } from "./support/tape.ts";

const STORIES_MAX = 10_000;

test.each(FLOW_BUGS)("the stories find %s", async (_name, bug) => {
  const found = await fc.check(
    fc.asyncProperty(storyTapes, async (choices) => {
      const { violations } = await tellFlowStory(choices, bug);
      return violations.length === 0;
    }),
    { numRuns: STORIES_MAX, endOnFailure: true },
  );
  expect(found.failed).toBe(true);
});
