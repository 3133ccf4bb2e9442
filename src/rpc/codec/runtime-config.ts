/** The configuration of a runtime as a request patches it. */
import type { RuntimeConfig as CoreRuntimeConfig } from "../../core/runtime/state.ts";
import type { RuntimeConfig } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { checkId, checkLabels, type FieldCheck, violate } from "./field-check.ts";
import { durationFromProto } from "./time.ts";
import type { Duration } from "@bufbuild/protobuf/wkt";

/** Bounds of the numbers of a configuration. */
export interface ConfigBounds {
  readonly queueLimitMax: number;
  readonly attemptLimitMax: number;
}

const LEASE_TTL_MIN_MS = 1_000;
const LEASE_TTL_MAX_MS = 3_600_000;
const BACKOFF_MAX_MS = 86_400_000;
/** Most operations that the configuration of a runtime may let be active at once. */
const OPERATION_LIMIT_MAX = 100_000;
/** Most ended operations that the configuration of a runtime may keep in its registry. */
const COMPLETED_RETENTION_MAX = 10_000;

function checkNumber(
  check: FieldCheck,
  value: number | undefined,
  field: string,
  max: number,
  min = 1,
): number | undefined {
  if (value !== undefined && (value < min || value > max)) {
    violate(check, field, `must be from ${min} to ${max}`);
  }
  return value;
}

function checkSpan(
  check: FieldCheck,
  duration: Duration | undefined,
  field: string,
  minMs: number,
  maxMs: number,
): number | undefined {
  if (duration === undefined) return undefined;
  const spanMs = durationFromProto(duration);
  if (spanMs === undefined || spanMs < minMs || spanMs > maxMs) {
    violate(check, field, `must be from ${minMs} ms to ${maxMs} ms`);
  }
  return spanMs;
}

function withoutAbsent<Value extends object>(value: Value): Partial<Value> {
  const present = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(present) as Partial<Value>;
}

/** The members that a request sets; the others keep their values. */
export function configFromProto(
  check: FieldCheck,
  config: RuntimeConfig | undefined,
  clearLabels: boolean,
  bounds: ConfigBounds,
): Partial<CoreRuntimeConfig> {
  const labels = checkLabels(check, config?.labels ?? {}, "config.labels");
  if (clearLabels && labels !== undefined) {
    violate(check, "clear_labels", "must not be set together with labels");
  }
  const { pool, queueLimit, attemptLimit, retryBackoff, leaseTtl, keepAlive } = config ?? {};
  const { operationLimit: limit, completedRetention: retention } = config ?? {};
  const at = (name: string): string => `config.${name}`;
  const initial = at("retry_backoff.initial");
  const initialMs = checkSpan(check, retryBackoff?.initial, initial, 1, BACKOFF_MAX_MS);
  const max = at("retry_backoff.max");
  const maxMs = checkSpan(check, retryBackoff?.max, max, initialMs ?? 1, BACKOFF_MAX_MS);
  const ttl = at("lease_ttl");
  return withoutAbsent({
    labels: clearLabels ? {} : labels,
    pool: pool === undefined ? undefined : checkId(check, pool, at("pool")),
    queueLimit: checkNumber(check, queueLimit, at("queue_limit"), bounds.queueLimitMax),
    attemptLimit: checkNumber(check, attemptLimit, at("attempt_limit"), bounds.attemptLimitMax),
    retryBackoffInitialMs: initialMs,
    retryBackoffMaxMs: maxMs,
    leaseTtlMs: checkSpan(check, leaseTtl, ttl, LEASE_TTL_MIN_MS, LEASE_TTL_MAX_MS),
    keepAlive,
    operationLimit: checkNumber(check, limit, at("operation_limit"), OPERATION_LIMIT_MAX),
    completedRetention: checkNumber(
      check,
      retention,
      at("completed_retention"),
      COMPLETED_RETENTION_MAX,
      0,
    ),
  }) as Partial<CoreRuntimeConfig>;
}
