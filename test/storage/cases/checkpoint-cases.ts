/** What every checkpoint store promises. */
import { describe, expect, it } from "vitest";
import type { CheckpointStore, StoredCheckpoint } from "../../../src/engine/ports.ts";
import { comparable, freshStream, sampleCheckpoint } from "../samples.ts";
import type { CaseSetup } from "../case-setup.ts";

const mebibyte = 1024 * 1024;

function comparableOrNothing(checkpoint: StoredCheckpoint | undefined): unknown {
  return checkpoint === undefined ? undefined : comparable(checkpoint);
}

/** See the header of this file. */
export function checkpointCases(setup: CaseSetup): void {
  const checkpoints = (): CheckpointStore => setup.storage().checkpoints;

  describe("checkpoints", () => {
    it("answers the newest checkpoint of each stream and leaves absent ones out", async () => {
      const [left, right, none] = [freshStream(), freshStream(), freshStream()];
      for (const revision of [5, 100, 20]) {
        await checkpoints().put(sampleCheckpoint(left, revision));
      }
      await checkpoints().put(sampleCheckpoint(right, 7));
      const found = await checkpoints().latest([left, none, right], 1);
      expect(found.map(comparable)).toEqual([
        comparable(sampleCheckpoint(left, 100)),
        comparable(sampleCheckpoint(right, 7)),
      ]);
    });

    it("ignores checkpoints of another fold version", async () => {
      const stream = freshStream();
      await checkpoints().put(sampleCheckpoint(stream, 10, { foldVersion: 1 }));
      await checkpoints().put(sampleCheckpoint(stream, 20, { foldVersion: 2 }));
      const [found] = await checkpoints().latest([stream], 1);
      expect(found?.revision).toBe(10);
      expect(await checkpoints().latest([stream], 3)).toEqual([]);
    });

    it("answers the nearest checkpoint at or before a revision", async () => {
      const stream = freshStream();
      for (const revision of [10, 20, 30]) {
        await checkpoints().put(sampleCheckpoint(stream, revision));
      }
      const nearest = async (revision: number): Promise<number | undefined> =>
        (await checkpoints().nearest({ stream, revision }, 1))?.revision;
      expect(await nearest(9)).toBeUndefined();
      expect(await nearest(10)).toBe(10);
      expect(await nearest(29)).toBe(20);
      expect(await nearest(1_000)).toBe(30);
    });

    it("leaves a checkpoint as it is when its point is stored again", async () => {
      const stream = freshStream();
      const first = sampleCheckpoint(stream, 10);
      await checkpoints().put(first);
      await setup.otherStorage().checkpoints.put({ ...first, stateText: '{"other":true}' });
      const found = await checkpoints().nearest({ stream, revision: 10 }, 1);
      expect(comparableOrNothing(found)).toEqual(comparable(first));
    });

    it("stores states far larger than a chunk, cut inside characters", async () => {
      const stream = freshStream();
      const stateText = `"x${"\u{1f680}ü€".repeat(1.2 * mebibyte)}"`;
      const checkpoint = sampleCheckpoint(stream, 10, { stateText });
      await checkpoints().put(checkpoint);
      const [found] = await checkpoints().latest([stream], 1);
      expect(found?.stateText.length).toBe(stateText.length);
      expect(found?.stateText === stateText).toBe(true);
    });

    it("does not mix the chunks of two servers that store the same point", async () => {
      const stream = freshStream();
      const stores = [checkpoints(), setup.otherStorage().checkpoints];
      const texts = ["a", "b", "c", "d"].map((letter) => `"${letter.repeat(9 * mebibyte)}"`);
      await Promise.all(
        texts.map((stateText, index) =>
          (stores[index % 2] ?? checkpoints()).put(sampleCheckpoint(stream, 10, { stateText })),
        ),
      );
      const [found] = await checkpoints().latest([stream], 1);
      expect(texts.some((stateText) => stateText === found?.stateText)).toBe(true);
    });
  });
}
