/** One table for people and one JSON document for programs, of one run on one machine. */
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { readable } from "./stats.ts";

/** One measured figure. */
export interface Figure {
  /** Section of the run, such as `a`. */
  readonly section: string;
  readonly name: string;
  readonly value: number;
  /** Unit of the value, such as `inputs/s`. */
  readonly unit: string;
  /** What the value has to be; absent for figures that are only told. */
  readonly target?: { readonly atLeast: number } | { readonly atMost: number };
}

/** Collects figures. */
export interface Report {
  readonly add: (figure: Figure) => void;
  /** The value of a figure added earlier. */
  readonly valueOf: (section: string, name: string) => number;
  readonly print: () => void;
  readonly write: (path: string) => void;
  /** Names of figures that miss their targets. */
  readonly missed: () => readonly string[];
}

function isMet({ value, target }: Figure): boolean {
  if (target === undefined) return true;
  return "atLeast" in target ? value >= target.atLeast : value <= target.atMost;
}

function targetText({ target }: Figure): string {
  if (target === undefined) return "";
  return "atLeast" in target ? `>= ${target.atLeast}` : `<= ${target.atMost}`;
}

function rowOf(figure: Figure): readonly string[] {
  const verdict = figure.target === undefined ? "" : isMet(figure) ? "met" : "MISSED";
  return [
    figure.section,
    figure.name,
    readable(figure.value),
    figure.unit,
    targetText(figure),
    verdict,
  ];
}

/** Makes an empty report. */
export function makeReport(): Report {
  const figures: Figure[] = [];
  return {
    add: (figure) => {
      figures.push(figure);
      process.stderr.write(
        `${rowOf(figure)
          .filter((cell) => cell !== "")
          .join("  ")}\n`,
      );
    },
    valueOf: (section, name) =>
      figures.find((figure) => figure.section === section && figure.name === name)?.value ??
      Number.NaN,
    print: () => {
      const rows = [["", "figure", "value", "unit", "target", ""], ...figures.map(rowOf)];
      const widths = [0, 1, 2, 3, 4, 5].map((column) =>
        Math.max(...rows.map((row) => row[column]?.length ?? 0)),
      );
      for (const row of rows) {
        const cells = row.map((cell, column) =>
          column === 2 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        );
        process.stdout.write(`${cells.join("  ").trimEnd()}\n`);
      }
    },
    write: (path) => {
      const machine = {
        cpu: cpus()[0]?.model ?? "unknown",
        cores: cpus().length,
        memoryBytes: totalmem(),
        node: process.version,
      };
      const document = { at: new Date().toISOString(), machine, figures };
      writeFileSync(path, `${JSON.stringify(document, null, 2)}\n`);
    },
    missed: () => figures.filter((figure) => !isMet(figure)).map((figure) => figure.name),
  };
}
