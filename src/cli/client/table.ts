/** Aligned tables and lists of facts as text. Widths are counted before anything is coloured. */

/** Colours by meaning. */
export type Colour = "green" | "yellow" | "red" | "cyan" | "dim" | "bold";

/** Adds a colour to text, or does not. */
export type Paint = (text: string, colour: Colour) => string;

/** A cell with a colour. */
export interface ColouredCell {
  readonly text: string;
  readonly colour: Colour;
}

/** Content of one cell. */
export type Cell = string | number | bigint | ColouredCell;

/** One column of a table. */
export interface Column<Row> {
  readonly title: string;
  readonly align?: "left" | "right";
  readonly cell: (row: Row) => Cell;
}

const GAP = "  ";

function textOf(cell: Cell): string {
  return typeof cell === "object" ? cell.text : String(cell);
}

/** Characters as code points: ids and words are mostly Latin, and one too wide shifts one line. */
function widthOf(text: string): number {
  return Array.from(text).length;
}

function padded(cell: Cell, width: number, align: "left" | "right", paint: Paint): string {
  const text = textOf(cell);
  const blank = " ".repeat(Math.max(0, width - widthOf(text)));
  const shown = typeof cell === "object" ? paint(text, cell.colour) : text;
  return align === "right" ? blank + shown : shown + blank;
}

/** A table with a line of titles. */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  paint: Paint,
): string {
  const titles = columns.map(({ title }): Cell => ({ text: title, colour: "bold" }));
  const cells = [titles, ...rows.map((row) => columns.map(({ cell }) => cell(row)))];
  const widths = columns.map((_, index) =>
    cells.reduce((width, line) => Math.max(width, widthOf(textOf(line[index] ?? ""))), 0),
  );
  const lines = cells.map((line) => {
    const shown = line.map((cell, index) => {
      const align = columns[index]?.align ?? "left";
      return padded(cell, widths[index] ?? 0, align, paint);
    });
    return shown.join(GAP).trimEnd();
  });
  return `${lines.join("\n")}\n`;
}

/** Names and values, one per line; facts without a value are left out. */
export function renderFacts(
  facts: readonly (readonly [string, Cell | undefined])[],
  paint: Paint,
): string {
  const given = facts.flatMap(([name, value]) =>
    value === undefined || textOf(value) === "" ? [] : [{ name, value }],
  );
  const width = given.reduce((most, { name }) => Math.max(most, widthOf(name)), 0);
  const lines = given.map(({ name, value }) => {
    const title = padded({ text: name, colour: "dim" }, width, "left", paint);
    return `${title}${GAP}${padded(value, 0, "left", paint)}`;
  });
  return `${lines.join("\n")}\n`;
}
