import { create, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { eventOfLine, outputOfEnd } from "./process-output.ts";

test("a line of JSON with a type is an event, with its payload and its key", () => {
  const event = eventOfLine('{"type":"progress","payload":{"done":3},"key":"3"}');
  expect(event).toMatchObject({ type: "progress", key: "3" });
  expect(event?.payload && toJson(ValueSchema, event.payload)).toEqual({ done: 3 });
  expect(eventOfLine('{"type":"tick"}')).toEqual({ type: "tick" });
});

test.each(["progress", "[1]", '{"payload":1}', '{"type":1}', '{"type":"cut', ""])(
  "%j is no event",
  (line) => {
    expect(eventOfLine(line)).toBeUndefined();
  },
);

test("a command that exits with 0 leaves its last line, as JSON where it is some", () => {
  const exited = { type: "exited", exitCode: 0 } as const;
  const valueOf = (line: string) => {
    const { output } = outputOfEnd(exited, undefined, line, "").output;
    const said = output?.case === "success" ? output.value.value : undefined;
    return said && toJson(ValueSchema, create(ValueSchema, said));
  };
  expect(valueOf('{"rows":3}')).toEqual({ rows: 3 });
  expect(valueOf("three rows")).toBe("three rows");
  expect(valueOf("")).toBeUndefined();
});

test("any other end is a failure, unless its cancellation was asked for", () => {
  const exited = { type: "exited", exitCode: 3 } as const;
  const cancelled = { type: "cancelled", message: "enough" } as const;
  expect(outputOfEnd(exited, undefined, "", "no disk")).toMatchObject({
    summary: "failed (exit_3)",
    output: { output: { case: "failure", value: { code: "exit_3", message: "no disk" } } },
  });
  const killed = { type: "killed", signal: "SIGTERM" } as const;
  expect(outputOfEnd(killed, cancelled, "", "")).toMatchObject({
    output: { output: { case: "cancelled", value: { message: "enough" } } },
  });
  const done = { type: "exited", exitCode: 0 } as const;
  expect(outputOfEnd(done, cancelled, "", "").summary).toBe("completed");
});
