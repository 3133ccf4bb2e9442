import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { RuntimeState } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  enumValue,
  enumWord,
  enumWords,
  formatAge,
  formatSpan,
  formatTime,
  parseSpan,
  printable,
  shortened,
} from "./format.ts";

describe("spans", () => {
  it.each([
    [0, "0ms"],
    [999, "999ms"],
    [1_000, "1s"],
    [1_250, "1.2s"],
    [59_999, "59s"],
    [60_000, "1m"],
    [312_000, "5m12s"],
    [3 * 3_600_000 + 240_000, "3h4m"],
    [51 * 3_600_000, "2d3h"],
  ])("%i ms reads %s", (spanMs, text) => {
    expect(formatSpan(spanMs)).toBe(text);
  });

  it.each([
    ["500ms", 500],
    ["1.5s", 1_500],
    ["1m30s", 90_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["30", undefined],
    ["", undefined],
    ["-1s", undefined],
    ["1s later", undefined],
  ])("%s is understood", (text, spanMs) => {
    expect(parseSpan(text)).toBe(spanMs);
  });
});

describe("times", () => {
  const time = create(TimestampSchema, { seconds: 1_767_225_600n, nanos: 250_000_000 });

  it("are in UTC, with an age", () => {
    expect(formatTime(time)).toBe("2026-01-01 00:00:00.250Z");
    expect(formatAge(time, 1_767_225_690_250)).toBe("1m30s");
    expect(formatAge(time, 1_767_225_600_000)).toBe("now");
  });

  it("that are absent are dashes", () => {
    expect(formatTime(undefined)).toBe("-");
    expect(formatAge(undefined)).toBe("-");
  });
});

describe("enums", () => {
  it("are words both ways, and newer values are told by number", () => {
    expect(enumWord(RuntimeState, RuntimeState.RETIRED)).toBe("retired");
    expect(enumWord(RuntimeState, 0)).toBe("-");
    expect(enumWord(RuntimeState, 99)).toBe("unknown(99)");
    expect(enumValue(RuntimeState, "Retired")).toBe(RuntimeState.RETIRED);
    expect(enumValue(RuntimeState, "unspecified")).toBeUndefined();
    expect(enumValue(RuntimeState, "away")).toBeUndefined();
    expect(enumWords(RuntimeState)).toEqual([
      "idle",
      "attached",
      "running",
      "retired",
      "stopped",
      "destroyed",
    ]);
  });
});

describe("foreign text", () => {
  it("cannot control the terminal", () => {
    expect(printable("a\u001b[31mred\n\u0007\u202ebad")).toBe(
      "a\\u001b[31mred\\n\\u0007\\u202ebad",
    );
    expect(printable("grün 🦀")).toBe("grün 🦀");
  });

  it("is cut by characters, not in the middle of one", () => {
    expect(shortened("🦀🦀🦀🦀", 3)).toBe("🦀🦀…");
    expect(shortened("abc", 3)).toBe("abc");
  });
});
