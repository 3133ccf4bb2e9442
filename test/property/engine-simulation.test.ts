import fc from "fast-check";
import { expect, test } from "vitest";
import { tellLedgerStory } from "./support/ledger-story.ts";

const RUNS = Number(process.env["KEELSON_PROPERTY_RUNS"] ?? 60);
const tapes = fc.array(fc.nat(65_535), { minLength: 200, maxLength: 6000, size: "max" });

test("replicas in trouble lose nothing, do nothing twice and agree in the end", async () => {
  await fc.assert(
    fc.asyncProperty(tapes, async (choices) => {
      const end = await tellLedgerStory(choices);
      expect(end.violations).toEqual([]);
    }),
    { numRuns: RUNS },
  );
});
