import { expect, test } from "vitest";
import { RefusedError } from "../../core/shared/refusal.ts";
import { countPositionOf, pageTokenOf, positionOf } from "./page-token.ts";

const FILTER = { list: "things", namespace: "a", states: ["x"] };

test("a token leads back to its position", () => {
  expect(positionOf(FILTER, pageTokenOf(FILTER, "agent/1 é"))).toBe("agent/1 é");
  expect(countPositionOf(FILTER, pageTokenOf(FILTER, "42"))).toBe(42);
});

test("no token means the first page", () => {
  expect(positionOf(FILTER, "")).toBeUndefined();
  expect(countPositionOf(FILTER, "")).toBe(0);
});

test.each([
  ["another list", pageTokenOf({ ...FILTER, list: "others" }, "1")],
  ["another filter", pageTokenOf({ ...FILTER, states: [] }, "1")],
  ["nobody", "bm90IGEgdG9rZW4"],
  ["somebody's fantasy", "%%%"],
  ["a novel", "x".repeat(10_000)],
])("a token of %s is refused", (_name, token) => {
  expect(() => positionOf(FILTER, token)).toThrow(RefusedError);
  expect(() => positionOf(FILTER, token)).toThrow(/another list or filter/);
});
