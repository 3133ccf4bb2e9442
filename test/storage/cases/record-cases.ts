/** What every record store promises. */
import { describe, expect, it } from "vitest";
import type { RecordStore } from "../../../src/engine/ports.ts";
import { freshStream, sampleRecord } from "../samples.ts";
import type { CaseSetup } from "../case-setup.ts";

/** See the header of this file. */
export function recordCases(setup: CaseSetup): void {
  const records = (): RecordStore => setup.storage().records;

  describe("records", () => {
    it("finds a row by any of its lookups, as it was inserted", async () => {
      const stream = freshStream();
      const row = sampleRecord(stream, 1, { lookups: ["id:a", "key:b", "$c.\u0000\u{1f680}"] });
      await records().insert([row, sampleRecord(stream, 2)]);
      for (const lookup of row.lookups) {
        expect(await records().find(stream, "inputs", [lookup])).toEqual([row]);
      }
    });

    it("answers each row once and in order when several lookups hit", async () => {
      const stream = freshStream();
      const rows = [1, 2, 3].map((ordinal) =>
        sampleRecord(stream, ordinal, { lookups: [`id:${ordinal}`, `key:${ordinal}`] }),
      );
      await records().insert(rows);
      const lookups = ["key:3", "id:1", "key:1", "id:3", "nothing"];
      expect(await records().find(stream, "inputs", lookups)).toEqual([rows[0], rows[2]]);
    });

    it("leaves a row as it is when it is inserted again, and takes the new ones", async () => {
      const stream = freshStream();
      await records().insert([sampleRecord(stream, 1)]);
      const changed = sampleRecord(stream, 1, { bodyText: '{"changed":true}' });
      await setup.otherStorage().records.insert([changed, sampleRecord(stream, 2)]);
      expect(await records().list(stream, "inputs", 0, 10)).toEqual([
        sampleRecord(stream, 1),
        sampleRecord(stream, 2),
      ]);
    });

    it("keeps streams and classes apart", async () => {
      const [stream, other] = [freshStream(), freshStream()];
      const receipt = sampleRecord(stream, 1, { recordClass: "receipts" });
      await records().insert([sampleRecord(stream, 1), receipt, sampleRecord(other, 1)]);
      expect(await records().find(stream, "receipts", ["key:1"])).toEqual([receipt]);
      expect(await records().find(other, "receipts", ["key:1"])).toEqual([]);
      expect(await records().list(stream, "inputs", 0, 10)).toEqual([sampleRecord(stream, 1)]);
    });

    it("lists rows in order of ordinal in pages", async () => {
      const stream = freshStream();
      const rows = Array.from({ length: 25 }, (_, index) => sampleRecord(stream, index + 1));
      await records().insert(rows.toReversed());
      expect(await records().list(stream, "inputs", 0, 10)).toEqual(rows.slice(0, 10));
      expect(await records().list(stream, "inputs", 10, 10)).toEqual(rows.slice(10, 20));
      expect(await records().list(stream, "inputs", 20, 10)).toEqual(rows.slice(20));
    });

    it("takes rows without lookups and batches of any size", async () => {
      const stream = freshStream();
      const rows = Array.from({ length: 2_500 }, (_, index) =>
        sampleRecord(stream, index + 1, { lookups: [] }),
      );
      await records().insert(rows);
      await records().insert([]);
      expect(await records().list(stream, "inputs", 0, 5_000)).toHaveLength(rows.length);
      expect(await records().find(stream, "inputs", [])).toEqual([]);
    });
  });
}
