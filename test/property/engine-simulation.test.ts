import fc from "fast-check";
import { expect, test } from "vitest";
import { tellLedgerStory } from "./support/ledger-story.ts";
import { storyTapes } from "./support/tape.ts";

const RUNS = Number(process.env["KEELSON_PROPERTY_RUNS"] ?? 400);

test("replicas in trouble lose nothing, do nothing twice and agree in the end", async () => {
  await fc.assert(
    fc.asyncProperty(storyTapes, async (choices) => {
      const end = await tellLedgerStory(choices);
      expect(end.violations).toEqual([]);
    }),
    { numRuns: RUNS },
  );
});
