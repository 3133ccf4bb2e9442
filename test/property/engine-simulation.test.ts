// The engine under everything that can go wrong, first with a small ledger that leaves nothing to
// hide behind, then with the real runtime: its clients and executors, operations, cancellations,
// runs that callers take at once, and drains.
import fc from "fast-check";
import { expect, test } from "vitest";
import { tellLedgerStory } from "./support/ledger-story.ts";
import { tellRuntimeStory } from "./support/runtime-story.ts";
import { storyTapes } from "./support/tape.ts";

const RUNS = Number(process.env["KEELSON_PROPERTY_RUNS"] ?? 500);
/** Ends the search for a simpler story in time for seed and path to be printed. */
const LIMITS = { interruptAfterTimeLimit: 120_000 };

test("replicas in trouble lose nothing, do nothing twice and agree in the end", async () => {
  await fc.assert(
    fc.asyncProperty(storyTapes, async (choices) => {
      const { violations } = await tellLedgerStory(choices);
      expect(violations).toEqual([]);
    }),
    { ...LIMITS, numRuns: RUNS },
  );
});

test("runtimes in trouble finish every input once, under one fence at a time", async () => {
  await fc.assert(
    fc.asyncProperty(storyTapes, async (choices) => {
      const { violations } = await tellRuntimeStory(choices);
      expect(violations).toEqual([]);
    }),
    { ...LIMITS, numRuns: Math.ceil(RUNS / 5) },
  );
});
