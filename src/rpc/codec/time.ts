/** Times and durations on the wire: whole milliseconds within, well-known types without. */
import { create } from "@bufbuild/protobuf";
import {
  type Duration,
  DurationSchema,
  type Timestamp,
  TimestampSchema,
} from "@bufbuild/protobuf/wkt";
import type { TimeMs } from "../../core/shared/ids.ts";

const SECOND_MS = 1_000;
const NANOS_PER_MS = 1_000_000;
const NANOS_PER_SECOND = 1_000_000_000;
/** First second of the year 1 and last second of the year 9999, the range of the wire type. */
const SECONDS_MIN = -62_135_596_800n;
const SECONDS_MAX = 253_402_300_799n;
/** Ten thousand years, the range of the wire type. */
const DURATION_SECONDS_MAX = 315_576_000_000n;

/** A time of the database, or of a client, as a timestamp. */
export function timestampToProto(timeMs: TimeMs): Timestamp {
  const seconds = Math.floor(timeMs / SECOND_MS);
  const nanos = (timeMs - seconds * SECOND_MS) * NANOS_PER_MS;
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos });
}

/** Milliseconds of a timestamp, rounded down; undefined when it is outside its own range. */
export function timestampFromProto(timestamp: Timestamp): TimeMs | undefined {
  const { seconds, nanos } = timestamp;
  if (seconds < SECONDS_MIN || seconds > SECONDS_MAX) return undefined;
  if (!(nanos >= 0 && nanos < NANOS_PER_SECOND)) return undefined;
  return Number(seconds) * SECOND_MS + Math.floor(nanos / NANOS_PER_MS);
}

/** A span of milliseconds as a duration. */
export function durationToProto(spanMs: number): Duration {
  const seconds = Math.trunc(spanMs / SECOND_MS);
  const nanos = Math.round((spanMs - seconds * SECOND_MS) * NANOS_PER_MS);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos });
}

/** Milliseconds of a duration, rounded down; undefined when it is malformed or negative. */
export function durationFromProto(duration: Duration): number | undefined {
  const { seconds, nanos } = duration;
  if (seconds < 0n || seconds > DURATION_SECONDS_MAX) return undefined;
  if (!(nanos >= 0 && nanos < NANOS_PER_SECOND)) return undefined;
  return Number(seconds) * SECOND_MS + Math.floor(nanos / NANOS_PER_MS);
}
