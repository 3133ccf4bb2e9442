/** What most calls about a runtime begin with: whose runtime it is, and how it stands now. */
import type { InputTarget } from "../core/runtime/input-target.ts";
import { inputIdOf, type RuntimeId, runtimeIdOf, type StreamName } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import { streamName } from "../engine/stream-name.ts";
import { checkId, type FieldCheck, violate } from "./codec/field-check.ts";
import type { RuntimeFold } from "./stored-inputs.ts";

/** Kind of the streams of runtimes. */
export const RUNTIME_KIND = "runtime";

/** A runtime that a request names. */
export interface NamedRuntime {
  readonly runtimeId: RuntimeId;
  readonly stream: StreamName;
}

/** The runtime that a request names in `runtime_id`. */
export function checkRuntime(
  check: FieldCheck,
  namespace: string,
  runtimeId: string,
): NamedRuntime {
  checkId(check, runtimeId, "runtime_id");
  const stream = streamName(RUNTIME_KIND, namespace, runtimeId);
  return { runtimeId: runtimeIdOf(runtimeId), stream };
}

/** The input that a request names in `target`. */
export function checkTarget(
  check: FieldCheck,
  target: { readonly case: string | undefined; readonly value?: string | undefined },
): InputTarget {
  const { value = "" } = target;
  switch (target.case) {
    case "inputId":
      return { inputId: inputIdOf(checkId(check, value, "input_id")) };
    case "idempotencyKey":
      return { idempotencyKey: checkId(check, value, "idempotency_key") };
    default:
      violate(check, "target", "is required: input_id or idempotency_key");
      return { idempotencyKey: "" };
  }
}

/** The refusal of a runtime that nobody ensured, or that was unregistered. */
export function runtimeNotRegistered(runtimeId: string): RefusedError {
  const message = "The runtime is not registered; call EnsureRuntime";
  return new RefusedError(refusalOf("RUNTIME_NOT_REGISTERED", message, { runtimeId }));
}

/** The confirmed fold of a runtime that has a history. Throws RUNTIME_NOT_REGISTERED. */
export async function freshHistory(
  streams: RuntimeStreams,
  runtime: NamedRuntime,
): Promise<RuntimeFold> {
  const fold = await streams.fresh(runtime.stream);
  if (fold.state.registration === "none") throw runtimeNotRegistered(runtime.runtimeId);
  return fold;
}
