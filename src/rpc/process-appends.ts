/** AppendEvent, CompleteProcess, CancelProcess and AckWake: what goes into a process's history. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { CompletionProof, ProcessCommand } from "../core/process/commands.ts";
import { completionEventOf } from "../core/process/completion.ts";
import type { LoggedEvent } from "../core/process/logged-event.ts";
import type { ProcessState } from "../core/process/state.ts";
import { runtimeIdOf, type Revision, type StreamName } from "../core/shared/ids.ts";
import { canonicalText } from "../engine/commit-codec.ts";
import type { ProcessEvent } from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  AckWakeRequestSchema,
  AckWakeResponseSchema,
  type AppendEventRequest,
  AppendEventRequestSchema,
  AppendEventResponseSchema,
  CancelProcessRequestSchema,
  CancelProcessResponseSchema,
  type CompleteProcessRequest,
  CompleteProcessRequestSchema,
  CompleteProcessResponseSchema,
  type ProcessRegistryService,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { type Caller, callerOf } from "./caller.ts";
import {
  checkBoundedText,
  checkCount,
  checkId,
  checkOptionalId,
  type FieldCheck,
  finish,
  makeFieldCheck,
  REASON_BYTES_MAX,
  violate,
} from "./codec/field-check.ts";
import { jsonFromProto } from "./codec/json-value.ts";
import { eventToProto } from "./codec/process-event.ts";
import { eventBodyHash } from "./codec/process-hashes.ts";
import { leaseProofFromProto } from "./codec/process-lease.ts";
import { authorityFromProto, outputFromProto } from "./codec/process-output.ts";
import { causeFromProto } from "./codec/process-provenance.ts";
import { requestHash } from "./codec/request-hash.ts";
import {
  assertPayloadBytes,
  checkProcess,
  checkTerms,
  type CommandTerms,
  type NamedProcess,
  commandEnvelope,
} from "./process-calls.ts";
import type { ProcessServiceOptions } from "./process-options.ts";
import { readOneLogged, readProcess, settlementOf } from "./stored-processes.ts";

type AppendService = Pick<
  ServiceImpl<typeof ProcessRegistryService>,
  "appendEvent" | "completeProcess" | "cancelProcess" | "ackWake"
>;

/** What an appending command led to. */
interface Appended {
  readonly event: ProcessEvent;
  readonly replayed: boolean;
  readonly state: ProcessState;
  readonly revision: Revision;
}

/** By what a process is to be ended. */
function proofFromProto(check: FieldCheck, { proof }: CompleteProcessRequest): CompletionProof {
  switch (proof.case) {
    case "lease":
      return { type: "lease", ...leaseProofFromProto(check, proof.value) };
    case "authority":
      return authorityFromProto(check, proof.value, "authority");
    case undefined:
      violate(check, "proof", "is required: lease or authority");
      return { type: "reconciled_abandon" };
  }
}

/** What of an append does not depend on the process. */
function appendFromProto(check: FieldCheck, request: AppendEventRequest) {
  const eventType = checkId(check, request.eventType, "event_type");
  const payload = jsonFromProto(check, request.payload, "payload");
  const replayKey = checkOptionalId(check, request.replayKey, "replay_key");
  const causedBy = causeFromProto(check, request.causedBy, "caused_by");
  const runtimeId = checkOptionalId(check, request.wakeRuntimeId, "wake_runtime_id");
  const lease = request.lease && leaseProofFromProto(check, request.lease);
  return {
    eventType,
    payload,
    ...(replayKey === undefined ? {} : { replayKey }),
    ...(causedBy === undefined ? {} : { causedBy }),
    ...(runtimeId === undefined ? {} : { wakeRuntimeId: runtimeIdOf(runtimeId) }),
    ...(lease && { lease }),
  };
}

/** Makes the part of the service that appends to histories. */
export function makeProcessAppends(options: ProcessServiceOptions): AppendService {
  const { streams, limits, schemas, leases } = options;

  async function shownEvent(
    stream: StreamName,
    state: ProcessState,
    logged: LoggedEvent,
  ): Promise<ProcessEvent> {
    return eventToProto(state, logged, await settlementOf(streams, stream, state, logged));
  }

  async function append(
    caller: Caller,
    stream: StreamName,
    command: ProcessCommand,
    terms: CommandTerms,
  ): Promise<Appended> {
    const committed = await streams.submit(stream, commandEnvelope(caller, command, terms));
    const { reply, state, revision, at, events } = committed;
    if (reply.type !== "appended") throw new TypeError(`Answered with ${reply.type}`);
    const { place, replayed } = reply;
    const own = events.find((event) => {
      return event.type === "process_event_appended" && event.sequence === place.sequence;
    });
    const logged =
      own?.type === "process_event_appended"
        ? { place, at, appended: own }
        : await readOneLogged(streams, stream, place);
    return { event: await shownEvent(stream, state, logged), replayed, state, revision };
  }

  /** The registration never changes: any fold that has it will do. */
  async function registeredState({ stream }: NamedProcess): Promise<ProcessState> {
    const { state } = await streams.known(stream);
    return state.registration === null ? (await streams.fresh(stream)).state : state;
  }

  return {
    appendEvent: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const named = checkProcess(check, caller.namespace, request.processId);
      const described = appendFromProto(check, request);
      const hashOf = (): string => requestHash(AppendEventRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf, request.replayKey !== "");
      finish(check);
      const { eventType, payload } = described;
      const payloadBytes = Buffer.byteLength(canonicalText(payload));
      assertPayloadBytes("payload", payloadBytes, limits.inputPayloadBytesMax);
      const state = await registeredState(named);
      const command: ProcessCommand = {
        type: "append_event",
        processId: named.processId,
        ...described,
        bodyHash: eventBodyHash(eventType, payload),
        schemaVerdict: schemas.verdictOf(state, eventType, payload),
      };
      const appended = await append(caller, named.stream, command, { ...terms, payloadBytes });
      const { event, replayed, revision } = appended;
      return create(AppendEventResponseSchema, { event, replayed, revision: BigInt(revision) });
    },

    completeProcess: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { processId, stream } = checkProcess(check, caller.namespace, request.processId);
      const output = outputFromProto(check, request.output);
      const by = proofFromProto(check, request);
      const hashOf = (): string => requestHash(CompleteProcessRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const { eventType, payload } = completionEventOf(output, by);
      const payloadBytes = Buffer.byteLength(canonicalText(payload));
      assertPayloadBytes("output", payloadBytes, limits.inputPayloadBytesMax);
      const bodyHash = eventBodyHash(eventType, payload);
      const command = { type: "complete_process", processId, output, bodyHash, by } as const;
      const appending = append(caller, stream, command, { ...terms, payloadBytes });
      const { event, replayed, state, revision } = await appending.catch(async (error: unknown) => {
        throw await leases.withTimeLeft(stream, error);
      });
      return create(CompleteProcessResponseSchema, {
        process: await readProcess(streams, stream, { state, revision }),
        event,
        replayed,
        revision: BigInt(revision),
      });
    },

    cancelProcess: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { processId, stream } = checkProcess(check, caller.namespace, request.processId);
      const reason = checkBoundedText(check, request.reason, "reason", REASON_BYTES_MAX) ?? null;
      const hashOf = (): string => requestHash(CancelProcessRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const command = { type: "request_cancel", processId, reason } as const;
      const { event, state, revision } = await append(caller, stream, command, terms);
      return create(CancelProcessResponseSchema, {
        process: await readProcess(streams, stream, { state, revision }),
        event,
        revision: BigInt(revision),
      });
    },

    ackWake: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { processId, stream } = checkProcess(check, caller.namespace, request.processId);
      const sequence = checkCount(check, request.sequence, "sequence");
      if (sequence === 0) violate(check, "sequence", "is required: at least 1");
      const hashOf = (): string => requestHash(AckWakeRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const command = { type: "ack_wake", processId, sequence } as const;
      const { revision } = await streams.submit(stream, commandEnvelope(caller, command, terms));
      return create(AckWakeResponseSchema, { revision: BigInt(revision) });
    },
  };
}
