// A history on disk: one JSON line per entry, forced to the disk before the writer goes on, so that
// what an executor was told is known even when it is killed the next moment.
import { closeSync, fdatasyncSync, openSync, readFileSync, writeSync } from "node:fs";
import type { z } from "zod";
import type { HistoryEntry } from "./history.ts";

/** Appends entries to one file. */
export interface HistoryLog<Entry = HistoryEntry> {
  readonly append: (entry: Entry) => void;
  readonly close: () => void;
}

/** Opens a history for appending; whatever is in the file stays. */
export function openHistoryLog<Entry = HistoryEntry>(path: string): HistoryLog<Entry> {
  const file = openSync(path, "a");
  return {
    append(entry) {
      writeSync(file, `${JSON.stringify(entry)}\n`);
      fdatasyncSync(file);
    },
    close: () => closeSync(file),
  };
}

/** All entries of a file; a last line that a kill cut short does not count. */
export function readHistory<Entry>(path: string, schema: z.ZodType<Entry>): readonly Entry[] {
  const lines = readFileSync(path, "utf8").split("\n");
  lines.pop();
  return lines.map((line) => schema.parse(JSON.parse(line)));
}
