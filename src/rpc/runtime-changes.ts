/** EnsureRuntime, SetSilentIntents, InterruptRun and PublishEvent. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { RuntimeCommand } from "../core/runtime/commands.ts";
import { runIdOf } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { canonicalText } from "../engine/commit-codec.ts";
import {
  EnsureRuntimeRequestSchema,
  EnsureRuntimeResponseSchema,
  InterruptRunRequestSchema,
  InterruptRunResponseSchema,
  type PublishEventRequest,
  PublishEventRequestSchema,
  PublishEventResponseSchema,
  type RuntimeControlPlaneService,
  SetSilentIntentsRequestSchema,
  SetSilentIntentsResponseSchema,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import {
  checkBoundedText,
  checkId,
  checkOptionalId,
  type FieldCheck,
  finish,
  makeFieldCheck,
  REASON_BYTES_MAX,
  violate,
} from "./codec/field-check.ts";
import { jsonFromProto } from "./codec/json-value.ts";
import { requestHash } from "./codec/request-hash.ts";
import { configFromProto } from "./codec/runtime-config.ts";
import { runtimeToProto } from "./codec/runtime.ts";
import { callerEnvelope, checkRequestMark } from "./command-envelope.ts";
import { checkRuntime } from "./runtime-calls.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";

type ChangeService = Pick<
  ServiceImpl<typeof RuntimeControlPlaneService>,
  "ensureRuntime" | "setSilentIntents" | "interruptRun" | "publishEvent"
>;

/** Bytes of a command without a payload, near enough. */
const COMMAND_BYTES = 500;
/** Each of them does its work once, also when it is said again; but see PublishEvent. */
const TERMS = { bytes: COMMAND_BYTES, retrySafe: true };
/** Most silent intents of a runtime. */
const INTENTS_MAX = 64;

/** A set of silent intents. */
function checkIntents(check: FieldCheck, intents: readonly string[]): readonly string[] {
  if (intents.length > INTENTS_MAX) {
    violate(check, "intents", `has ${intents.length}, at most ${INTENTS_MAX} are allowed`);
    return [];
  }
  return intents.map((intent, index) => checkId(check, intent, `intents[${index}]`));
}

function textBytes(texts: readonly string[]): number {
  return texts.reduce((bytes, text) => bytes + Buffer.byteLength(text), 0);
}

/** Makes the part of the service that changes a runtime. */
export function makeRuntimeChanges(options: RuntimeServiceOptions): ChangeService {
  const { streams, limits, entropy, nowMs } = options;

  function publication(
    check: FieldCheck,
    request: PublishEventRequest,
  ): { readonly command: RuntimeCommand; readonly bytes: number } {
    const eventCode = checkId(check, request.eventCode, "event_code");
    const payload = jsonFromProto(check, request.payload, "payload");
    const causationId = checkOptionalId(check, request.causationId, "causation_id");
    const correlationId = checkOptionalId(check, request.correlationId, "correlation_id");
    finish(check);
    const limitBytes = limits.inputPayloadBytesMax;
    const actualBytes = Buffer.byteLength(canonicalText(payload));
    if (actualBytes > limitBytes) {
      const message = `The payload has ${actualBytes} bytes, at most ${limitBytes} are allowed`;
      const metadata = { limitBytes, actualBytes };
      throw new RefusedError(refusalOf("PAYLOAD_TOO_LARGE", message, metadata));
    }
    const command: RuntimeCommand = {
      type: "publish_event",
      eventId: entropy.freshId(),
      eventCode,
      payload,
      ...(causationId === undefined ? {} : { causationId }),
      ...(correlationId === undefined ? {} : { correlationId }),
    };
    return { command, bytes: actualBytes + COMMAND_BYTES };
  }

  return {
    ensureRuntime: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { runtimeId, stream } = checkRuntime(check, caller.namespace, request.runtimeId);
      const config = configFromProto(check, request.config, request.clearLabels, limits);
      const mark = checkRequestMark(check, request.requestId, () =>
        requestHash(EnsureRuntimeRequestSchema, request),
      );
      finish(check);
      const command: RuntimeCommand = {
        type: "ensure_runtime",
        runtimeId,
        config,
        defaults: limits.runtimeDefaults,
      };
      const committed = await streams.submit(stream, callerEnvelope(caller, command, mark, TERMS));
      const { reply, state, revision } = committed;
      if (reply.type !== "ensured") throw new TypeError(`Answered with ${reply.type}`);
      return create(EnsureRuntimeResponseSchema, {
        runtime: runtimeToProto(caller.namespace, state, revision, nowMs()),
        created: reply.created,
        revision: BigInt(revision),
      });
    },

    setSilentIntents: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { stream } = checkRuntime(check, caller.namespace, request.runtimeId);
      const intents = checkIntents(check, request.intents);
      const mark = checkRequestMark(check, request.requestId, () =>
        requestHash(SetSilentIntentsRequestSchema, request),
      );
      finish(check);
      const command: RuntimeCommand = { type: "set_silent_intents", intents };
      const committed = await streams.submit(
        stream,
        callerEnvelope(caller, command, mark, {
          ...TERMS,
          bytes: COMMAND_BYTES + textBytes(intents),
        }),
      );
      const { state, revision } = committed;
      return create(SetSilentIntentsResponseSchema, {
        runtime: runtimeToProto(caller.namespace, state, revision, nowMs()),
        revision: BigInt(revision),
      });
    },

    interruptRun: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { stream } = checkRuntime(check, caller.namespace, request.runtimeId);
      const runId = checkOptionalId(check, request.runId, "run_id");
      const reason = checkBoundedText(check, request.reason, "reason", REASON_BYTES_MAX);
      const mark = checkRequestMark(check, request.requestId, () =>
        requestHash(InterruptRunRequestSchema, request),
      );
      finish(check);
      const command: RuntimeCommand = {
        type: "interrupt_run",
        ...(runId === undefined ? {} : { runId: runIdOf(runId) }),
        ...(reason === undefined ? {} : { reason }),
      };
      const committed = await streams.submit(stream, callerEnvelope(caller, command, mark, TERMS));
      const { reply, state, revision } = committed;
      if (reply.type !== "interrupted") throw new TypeError(`Answered with ${reply.type}`);
      return create(InterruptRunResponseSchema, {
        runId: reply.runId,
        generation: BigInt(state.run?.generation ?? state.generation),
        revision: BigInt(revision),
      });
    },

    publishEvent: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { stream } = checkRuntime(check, caller.namespace, request.runtimeId);
      const mark = checkRequestMark(check, request.requestId, () =>
        requestHash(PublishEventRequestSchema, request),
      );
      const { command, bytes } = publication(check, request);
      const committed = await streams.submit(
        stream,
        // Said again without a request id, an event would be published twice.
        callerEnvelope(caller, command, mark, { bytes, retrySafe: mark !== undefined }),
      );
      const { reply, revision } = committed;
      if (reply.type !== "published") throw new TypeError(`Answered with ${reply.type}`);
      return create(PublishEventResponseSchema, {
        eventId: reply.eventId,
        revision: BigInt(revision),
      });
    },
  };
}
