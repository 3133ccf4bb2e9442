/** Why a runtime is not doing more, on the wire. */
import { create } from "@bufbuild/protobuf";
import { wordsOf } from "../../core/runtime/cause-words.ts";
import type { Cause } from "../../core/runtime/explain.ts";
import type { TimeMs } from "../../core/shared/ids.ts";
import { InputLane } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  type RuntimeCause,
  RuntimeCauseKind,
  RuntimeCauseSchema,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { makeEnumCodec } from "./enum-codec.ts";
import { lanes } from "./enums.ts";
import { durationToProto, timestampToProto } from "./time.ts";

const causeKinds = makeEnumCodec<Cause["type"], RuntimeCauseKind>({
  unregistered: RuntimeCauseKind.UNREGISTERED,
  destroyed: RuntimeCauseKind.DESTROYED,
  stopped: RuntimeCauseKind.STOPPED,
  run_unacknowledged: RuntimeCauseKind.RUN_UNACKNOWLEDGED,
  run_in_flight: RuntimeCauseKind.RUN_IN_FLIGHT,
  interrupt_pending: RuntimeCauseKind.INTERRUPT_PENDING,
  retired: RuntimeCauseKind.RETIRED,
  intake_full: RuntimeCauseKind.INTAKE_FULL,
  nothing_queued: RuntimeCauseKind.NOTHING_QUEUED,
  backing_off: RuntimeCauseKind.BACKING_OFF,
  not_woken: RuntimeCauseKind.NOT_WOKEN,
  lease_held: RuntimeCauseKind.LEASE_HELD,
  lease_lapsing: RuntimeCauseKind.LEASE_LAPSING,
  no_executor: RuntimeCauseKind.NO_EXECUTOR,
  executors_busy: RuntimeCauseKind.EXECUTORS_BUSY,
  awaiting_assignment: RuntimeCauseKind.AWAITING_ASSIGNMENT,
});

function elapsedTo(since: TimeMs, now: TimeMs) {
  const elapsed = durationToProto(Math.max(0, now - since));
  return { since: timestampToProto(since), elapsed };
}

/** Numbers of a cause: how many of what it is about, and the limit. */
function numbersOf(cause: Cause): Pick<RuntimeCause, "count" | "limit" | "attempt"> {
  const none = { count: 0, limit: 0, attempt: 0 };
  switch (cause.type) {
    case "intake_full":
      return { ...none, count: cause.queued, limit: cause.limit };
    case "not_woken":
      return { ...none, count: cause.queued };
    case "executors_busy":
    case "awaiting_assignment":
      return { ...none, count: cause.executors };
    case "run_in_flight":
      return { ...none, attempt: cause.attempt };
    case "backing_off":
      return { ...none, attempt: cause.attempts };
    default:
      return none;
  }
}

/** A cause, in words and in facts. */
export function causeToProto(cause: Cause, now: TimeMs): RuntimeCause {
  const until = "until" in cause ? cause.until : undefined;
  return create(RuntimeCauseSchema, {
    kind: causeKinds.toProto(cause.type),
    ...wordsOf(cause),
    ...elapsedTo(cause.since, now),
    ...(until === undefined ? {} : { until: timestampToProto(until) }),
    runId: "runId" in cause ? cause.runId : "",
    inputId: "inputId" in cause ? cause.inputId : "",
    ...("executorId" in cause
      ? {
          executorId: cause.executorId,
          incarnationId: cause.incarnationId,
          generation: BigInt(cause.generation),
        }
      : {}),
    lane: "lane" in cause ? lanes.toProto(cause.lane) : InputLane.UNSPECIFIED,
    pool: "pool" in cause ? cause.pool : "",
    ...numbersOf(cause),
  });
}
