import { expect, it } from "vitest";
import { type Column, renderFacts, renderTable } from "./table.ts";

interface Fruit {
  readonly name: string;
  readonly count: number;
}

const COLUMNS: readonly Column<Fruit>[] = [
  { title: "NAME", cell: ({ name }) => ({ text: name, colour: "green" }) },
  { title: "COUNT", align: "right", cell: ({ count }) => count },
];
const ROWS: readonly Fruit[] = [
  { name: "fig", count: 7 },
  { name: "mirabelle", count: 12_345 },
];

it("aligns columns and leaves nothing behind the last one", () => {
  expect(renderTable(COLUMNS, ROWS, (text) => text)).toBe(
    "NAME       COUNT\nfig            7\nmirabelle  12345\n",
  );
});

it("counts widths without colours", () => {
  const painted = renderTable(COLUMNS, ROWS, (text, colour) => `<${colour}>${text}</>`);
  expect(painted.split("\n")[1]).toBe("<green>fig</>            7");
});

it("leaves facts without a value out", () => {
  const facts = [
    ["name", "fig"],
    ["colour", undefined],
    ["taste", ""],
    ["count", 0],
  ] as const;
  expect(renderFacts(facts, (text) => text)).toBe("name   fig\ncount  0\n");
});
