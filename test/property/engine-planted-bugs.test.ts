// Proof that the simulation sees what it is there to see: with each of these bugs planted, it finds
// a violation within a bounded number of stories.
import fc from "fast-check";
import { expect, test } from "vitest";
import { tellLedgerStory } from "./support/ledger-story.ts";
import { PLANTED_BUGS } from "./support/planted-bugs.ts";
import { storyTapes } from "./support/tape.ts";

const STORIES_MAX = 1000;

test.each(PLANTED_BUGS)("the simulation finds %s", async (_name, bug) => {
  const found = await fc.check(
    fc.asyncProperty(storyTapes, async (choices) => {
      const { violations } = await tellLedgerStory(choices, bug);
      return violations.length === 0;
    }),
    { numRuns: STORIES_MAX, endOnFailure: true },
  );
  expect(found.failed).toBe(true);
});
