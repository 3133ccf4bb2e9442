import type { DescMessage } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { SERVICES } from "../routes.ts";
import { JSON_DEPTH_MAX } from "./json-value.ts";

/** What the libraries of clients read unless told otherwise. */
const CLIENT_DEPTH_MAX = 100;
/** An object, its member, and the member's value. */
const MESSAGES_PER_LEVEL = 3;
const JSON_TYPES = new Set(["google.protobuf.Value", "google.protobuf.Struct"]);

/** The longest ways to JSON within a message, by the fields they take. */
function waysToJson(message: DescMessage): readonly (readonly string[])[] {
  if (JSON_TYPES.has(message.typeName)) return [[]];
  return message.fields.flatMap((field) => {
    const inner = field.message;
    if (inner === undefined) return [];
    return waysToJson(inner).map((way) => [field.name, ...way]);
  });
}

test("every answer with JSON of the greatest depth can be read by any client", () => {
  const answers = SERVICES.filter(({ typeName }) => typeName.startsWith("keelson.")).flatMap(
    ({ methods }) => methods.map(({ output }) => output),
  );
  const ways = answers.flatMap((answer) =>
    waysToJson(answer).map((way) => [answer.typeName, ...way]),
  );
  expect(ways.length).toBeGreaterThan(0);
  const tooLong = ways.filter(
    (way) => way.length + JSON_DEPTH_MAX * MESSAGES_PER_LEVEL > CLIENT_DEPTH_MAX,
  );
  expect(tooLong).toEqual([]);
});
