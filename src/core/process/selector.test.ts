import { describe, expect, test } from "vitest";
import type { Json } from "../shared/json.ts";
import { isTruthy, select, type Selector, textOf } from "./selector.ts";

const PAYLOAD: Json = { text: "done", list: [1, { "a/b": "slash", "m~n": null }], empty: "" };

const pointer = (path: string): Selector => ({ type: "pointer", pointer: path });

describe("a selector reads", () => {
  test.each<[string, Selector, Json]>([
    ["the payload as a whole", { type: "payload" }, PAYLOAD],
    ["the whole by an empty pointer", pointer(""), PAYLOAD],
    ["a member", pointer("/text"), "done"],
    ["an element", pointer("/list/0"), 1],
    ["an escaped slash", pointer("/list/1/a~1b"), "slash"],
    ["an escaped tilde, also when null stands there", pointer("/list/1/m~0n"), null],
    ["a fixed value", { type: "fixed", value: 7 }, 7],
    ["that something is there", { type: "present", pointer: "/empty" }, true],
    ["that nothing is there", { type: "present", pointer: "/missing" }, false],
  ])("%s", (_what, selector, value) => {
    expect(select(selector, PAYLOAD)).toEqual({ found: true, value });
  });

  test("a template with texts as they are and everything else as JSON", () => {
    const selector: Selector = {
      type: "template",
      template: "{who}: {what} {unknown}",
      fields: { who: pointer("/text"), what: pointer("/list/0") },
    };
    expect(select(selector, PAYLOAD)).toEqual({ found: true, value: "done: 1 {unknown}" });
  });
});

describe("a pointer that leads nowhere is told", () => {
  test.each(["/missing", "/list/2", "/list/01", "/text/x", "/list/-", "/constructor"])(
    "%s",
    (path) => {
      expect(select(pointer(path), PAYLOAD)).toEqual({ found: false, pointer: path });
    },
  );

  test("also within a template", () => {
    const fields = { gone: pointer("/gone") };
    const selector: Selector = { type: "template", template: "{gone}", fields };
    expect(select(selector, PAYLOAD)).toEqual({ found: false, pointer: "/gone" });
  });
});

test("null, false and everything empty do not count as true; every number does", () => {
  const falsy: readonly Json[] = [null, false, "", [], {}];
  const truthy: readonly Json[] = [true, 0, -1, "false", [null], { a: null }];
  expect(falsy.filter(isTruthy)).toEqual([]);
  expect(truthy.filter(isTruthy)).toEqual(truthy);
});

test("text is text, anything else is JSON", () => {
  expect([textOf("a"), textOf({ a: [1] }), textOf(null)]).toEqual(["a", '{"a":[1]}', "null"]);
});
