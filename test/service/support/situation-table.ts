/**
 * Tables of calls by situations, written as text so that they can be read as tables. The first line
 * names the columns, every other one a call and its cells.
 */
import { type Situation, SITUATIONS } from "./situations.ts";

/** One row: what a call meets in each situation. */
export interface TableRow {
  readonly call: string;
  readonly cells: ReadonlyMap<Situation, string>;
}

/** Short words for situations. */
const SITUATION_WORDS: Readonly<Record<string, Situation>> = {
  unreg: "unregistered",
  att: "attached",
  run: "running",
  ret: "retired",
  drain: "draining",
  stop: "stopped",
  dest: "destroyed",
};

/** Reads a table; `reasons` says what the capital letters stand for. */
export function readTable(
  text: string,
  reasons: Readonly<Record<string, string>>,
): readonly TableRow[] {
  const [, ...lines] = text.trim().split("\n");
  return lines.map((line) => {
    const [call = "", ...words] = line.trim().split(/\s+/);
    if (words.length !== SITUATIONS.length) throw new Error(`${call} has ${words.length} cells`);
    const cells = SITUATIONS.map((situation, column) => {
      const word = words[column] ?? "";
      return [situation, reasons[word] ?? SITUATION_WORDS[word] ?? word] as const;
    });
    return { call, cells: new Map(cells) };
  });
}

/** The cells of one column, by call; those without a subject are left out. */
export function columnOf(
  rows: readonly TableRow[],
  situation: Situation,
): Readonly<Record<string, string>> {
  const column = rows.map((row) => [row.call, row.cells.get(situation) ?? "-"] as const);
  return Object.fromEntries(column.filter(([, cell]) => cell !== "-"));
}
