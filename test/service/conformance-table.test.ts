// The table of conformance cases is true: every case that it names stands in the file beside it.
import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

const ROOT = new URL("../../", import.meta.url);
const FOLDERS = new Map([
  ["core", "src/core/runtime"],
  ["core/process", "src/core/process"],
  ["service", "test/service"],
]);

interface Row {
  readonly reference: string;
  readonly cases: string;
  readonly files: readonly string[];
}

function read(path: string): string {
  return readFileSync(new URL(path, ROOT), "utf8");
}

/** The rows that name a file of cases. */
function rowsOf(document: string): readonly Row[] {
  return document.split("\n").flatMap((line) => {
    const [, reference = "", cases = "", files = ""] = line.split("|").map((cell) => cell.trim());
    const isRow = line.startsWith("| ") && /^(core|service)\//.test(files);
    return isRow ? [{ reference, cases, files: files.split(", ") }] : [];
  });
}

/** The source of a file of cases, with what is filled into names left open. */
function casesOf(file: string): string {
  const name = file.slice(file.lastIndexOf("/") + 1);
  const folder = file.slice(0, -name.length - 1);
  const path = `${FOLDERS.get(folder) ?? folder}/${name}.test.ts`;
  return read(path).replaceAll(/\$\{[^}]*\}/g, "%s");
}

function namesOf({ reference, cases }: Row): readonly string[] {
  const quoted = [...cases.matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? "");
  return cases.startsWith("the same") ? [reference, ...quoted] : quoted;
}

it("names cases that there are", () => {
  const rows = rowsOf(read("docs/conformance.md"));
  const missing = rows.flatMap((row) => {
    const sources = row.files.map(casesOf);
    const names = namesOf(row).length > 0 ? namesOf(row) : ["a row without a case"];
    return names.filter((name) => !sources.some((source) => source.includes(name)));
  });
  expect(missing).toEqual([]);
  expect(rows.length).toBeGreaterThan(100);
});

it("says for every item of the interfaces where it is shown", () => {
  const rows = read("docs/seed-coverage.md")
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| item"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
  const missing = rows.filter(([, , , files = ""]) => {
    const paths = files.split(", ").map((name) => `test/service/${name}.test.ts`);
    return !paths.every((path) => existsSync(new URL(path, ROOT)));
  });
  expect(missing).toEqual([]);
  expect(rows.length).toBeGreaterThan(50);
});
