/** EnsureRuntime, SetSilentIntents, InterruptRun and PublishEvent. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { RuntimeCommand } from "../core/runtime/commands.ts";
import { runIdOf } from "../core/shared/ids.ts";
import { refusalOf, RefusedError } from "../core/shared/refusal.ts";
import { canonicalText } from "../engine/commit-codec.ts";
import type { CommandEnvelope } from "../engine/stream-entry.ts";
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
import { type Caller, callerOf } from "./caller.ts";
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
import { checkRuntime } from "./runtime-calls.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";

type ChangeService = Pick<
  ServiceImpl<typeof RuntimeControlPlaneService>,
  "ensureRuntime" | "setSilentIntents" | "interruptRun" | "publishEvent"
>;

/** Bytes of a command without a payload, near enough. */
const COMMAND_BYTES = 500;
/** Most silent intents of a runtime. */
const INTENTS_MAX = 64;

/** First parts of the codes that the server itself uses. */
const RESERVED_FAMILIES: ReadonlySet<string> = new Set([
  "input",
  "run",
  "runtime",
  "topology",
  "executor",
  "drain",
  "operation",
]);

function envelopeOf(
  caller: Caller,
  command: RuntimeCommand,
  requestId: string | undefined,
  hashOf: () => string,
  bytes = COMMAND_BYTES,
): CommandEnvelope<RuntimeCommand> {
  return {
    command,
    name: command.type,
    ...(caller.actor === undefined ? {} : { actor: caller.actor }),
    ...(requestId === undefined ? {} : { requestId, bodyHash: hashOf() }),
    bytes,
    // Ensuring and interrupting again do their work once; an event would be published twice.
    retrySafe: requestId !== undefined || command.type !== "publish_event",
  };
}

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

/** The code of a client's event. Throws EVENT_CODE_RESERVED. */
function checkEventCode(check: FieldCheck, eventCode: string): string {
  checkId(check, eventCode, "event_code");
  const family = eventCode.split(".", 1)[0] ?? "";
  if (!RESERVED_FAMILIES.has(family)) return eventCode;
  const message = `The codes of the family ${family} are the server's own; choose another one`;
  throw new RefusedError(refusalOf("EVENT_CODE_RESERVED", message, { eventCode }));
}

/** Makes the part of the service that changes a runtime. */
export function makeRuntimeChanges(options: RuntimeServiceOptions): ChangeService {
  const { streams, limits, entropy, nowMs } = options;

  function publication(
    check: FieldCheck,
    request: PublishEventRequest,
  ): { readonly command: RuntimeCommand; readonly bytes: number } {
    const eventCode = checkEventCode(check, request.eventCode);
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
      const requestId = checkOptionalId(check, request.requestId, "request_id");
      finish(check);
      const command: RuntimeCommand = {
        type: "ensure_runtime",
        runtimeId,
        config,
        defaults: limits.runtimeDefaults,
      };
      const hashOf = (): string => requestHash(EnsureRuntimeRequestSchema, request);
      const committed = await streams.submit(
        stream,
        envelopeOf(caller, command, requestId, hashOf),
      );
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
      const requestId = checkOptionalId(check, request.requestId, "request_id");
      finish(check);
      const command: RuntimeCommand = { type: "set_silent_intents", intents };
      const hashOf = (): string => requestHash(SetSilentIntentsRequestSchema, request);
      const committed = await streams.submit(
        stream,
        envelopeOf(caller, command, requestId, hashOf, COMMAND_BYTES + textBytes(intents)),
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
      const requestId = checkOptionalId(check, request.requestId, "request_id");
      finish(check);
      const command: RuntimeCommand = {
        type: "interrupt_run",
        ...(runId === undefined ? {} : { runId: runIdOf(runId) }),
        ...(reason === undefined ? {} : { reason }),
      };
      const hashOf = (): string => requestHash(InterruptRunRequestSchema, request);
      const committed = await streams.submit(
        stream,
        envelopeOf(caller, command, requestId, hashOf),
      );
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
      const requestId = checkOptionalId(check, request.requestId, "request_id");
      const { command, bytes } = publication(check, request);
      const hashOf = (): string => requestHash(PublishEventRequestSchema, request);
      const committed = await streams.submit(
        stream,
        envelopeOf(caller, command, requestId, hashOf, bytes),
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
