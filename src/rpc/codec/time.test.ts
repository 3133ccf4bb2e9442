import { create } from "@bufbuild/protobuf";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import {
  durationFromProto,
  durationToProto,
  timestampFromProto,
  timestampToProto,
} from "./time.ts";

test.each([0, 1, 999, 1_700_000_000_123, -1, -1_500])("%d ms is a time and back", (timeMs) => {
  const timestamp = timestampToProto(timeMs);
  expect(timestamp.nanos).toBeGreaterThanOrEqual(0);
  expect(timestampFromProto(timestamp)).toBe(timeMs);
});

test.each([0, 1, 1_500, 60_000])("%d ms is a span and back", (spanMs) => {
  expect(durationFromProto(durationToProto(spanMs))).toBe(spanMs);
});

test.each([
  { seconds: -62_135_596_801n, nanos: 0 },
  { seconds: 253_402_300_800n, nanos: 0 },
  { seconds: 0n, nanos: -1 },
  { seconds: 0n, nanos: 1_000_000_000 },
])("a time outside of its range is no time", (fields) => {
  expect(timestampFromProto(create(TimestampSchema, fields))).toBeUndefined();
});

test.each([
  { seconds: -1n, nanos: 0 },
  { seconds: 0n, nanos: -5 },
  { seconds: 315_576_000_001n, nanos: 0 },
])("a span below zero or beyond its range is no span", (fields) => {
  expect(durationFromProto(create(DurationSchema, fields))).toBeUndefined();
});
