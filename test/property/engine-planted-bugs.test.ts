// Proof that the simulation sees what it is there to see: with each of these bugs planted, it finds
// a violation within a bounded number of stories.
import fc from "fast-check";
import { expect, test } from "vitest";
import { tellLedgerStory } from "./support/ledger-story.ts";
import { PLANTED_BUGS } from "./support/planted-bugs.ts";
import { tellRuntimeStory } from "./support/runtime-story.ts";
import { storyTapes } from "./support/tape.ts";

const STORIES_MAX = 1000;

type Tell = typeof tellLedgerStory;

async function isFound(tell: Tell, bug: Parameters<Tell>[1]): Promise<boolean> {
  const found = await fc.check(
    fc.asyncProperty(storyTapes, async (choices) => {
      const { violations } = await tell(choices, bug);
      return violations.length === 0;
    }),
    { numRuns: STORIES_MAX, endOnFailure: true },
  );
  return found.failed;
}

test.each(PLANTED_BUGS)("the simulation of ledgers finds %s", async (_name, bug) => {
  expect(await isFound(tellLedgerStory, bug)).toBe(true);
});

const inTheRuntime = PLANTED_BUGS.filter(([, bug]) => bug.runtime !== undefined);

test.each(inTheRuntime)("the simulation of runtimes finds %s", async (_name, bug) => {
  expect(await isFound(tellRuntimeStory, bug)).toBe(true);
});
