/** Processes on the wire: of the record that state and view rows have in common. */
import { create } from "@bufbuild/protobuf";
import type { AwaitOutput } from "../../core/process/await-output.ts";
import type { ProcessFacts } from "../../core/process/facts-codec.ts";
import type {
  DeclaredEventType,
  ProcessInput as CoreInput,
} from "../../core/process/registration.ts";
import type { CancelRequest, EventTypeCount } from "../../core/process/state.ts";
import type { Revision } from "../../core/shared/ids.ts";
import type { StreamRow } from "../../engine/ports.ts";
import {
  type Process,
  type ProcessCancelRequest,
  ProcessCancelRequestSchema,
  type ProcessEnd,
  ProcessEndSchema,
  ProcessSchema,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { jsonToProto } from "./json-value.ts";
import { dispositions, processStates } from "./process-enums.ts";
import { eventTypeToProto } from "./process-event-type.ts";
import { outputToProto } from "./process-output.ts";
import { identityToProto, provenanceToProto } from "./process-provenance.ts";
import { processInputToProto } from "./process-registration.ts";
import { durationToProto, timestampToProto } from "./time.ts";

/** What is told of a process beside its record. */
interface ProcessSituation {
  readonly revision: Revision;
  /** Whether a worker could claim it now. */
  readonly isClaimable: boolean;
}

/** What only a reader of one process is told. */
export interface ProcessContent {
  readonly input: CoreInput;
  readonly eventTypes: readonly DeclaredEventType[];
  readonly typeCounts: Iterable<readonly [eventType: string, count: EventTypeCount]>;
  /** Present once it has ended. */
  readonly output?: AwaitOutput;
}

function leasesOf(facts: ProcessFacts) {
  const { lease, firstStart } = facts;
  return {
    ...(lease && {
      lease: {
        owner: { ...lease.owner },
        generation: BigInt(lease.generation),
        claimedAt: timestampToProto(lease.claimedAt),
        ttl: durationToProto(lease.ttlMs),
      },
    }),
    ...(firstStart && {
      firstStart: {
        owner: { ...firstStart.owner },
        startedAt: timestampToProto(firstStart.startedAt),
      },
    }),
  };
}

function waitOf({ wait }: ProcessFacts) {
  if (wait === null) return {};
  const { signalName, eventType, key = "", ordinal, since } = wait;
  return {
    wait: {
      signalName,
      eventType,
      key,
      ordinal: BigInt(ordinal),
      since: timestampToProto(since),
    },
  };
}

/** The first wish that a process be cancelled. */
export function cancelRequestToProto(request: CancelRequest): ProcessCancelRequest {
  const { reason, requestedAt, sequence } = request;
  return create(ProcessCancelRequestSchema, {
    reason,
    requestedAt: timestampToProto(requestedAt),
    sequence: BigInt(sequence),
  });
}

function wishesOf(facts: ProcessFacts) {
  const { cancelRequest, abandonRequest } = facts;
  return {
    ...(cancelRequest && { cancelRequest: cancelRequestToProto(cancelRequest) }),
    ...(abandonRequest && {
      abandonRequest: {
        requestedBy: abandonRequest.requestedBy,
        requestedAt: timestampToProto(abandonRequest.requestedAt),
        reason: abandonRequest.reason ?? "",
      },
    }),
  };
}

function externalRefOf({ externalRef }: ProcessFacts) {
  if (externalRef === null) return {};
  const { backend, externalId, metadata } = externalRef;
  return {
    externalRef: {
      backend,
      externalId,
      ...(metadata === undefined ? {} : { metadata: jsonToProto(metadata) }),
    },
  };
}

/** The end of a process. */
export function endToProto(end: NonNullable<ProcessFacts["end"]>, output: AwaitOutput): ProcessEnd {
  return create(ProcessEndSchema, {
    state: processStates.toProto(end.status),
    output: outputToProto(output),
    sequence: BigInt(end.place.sequence),
    endedAt: timestampToProto(end.endedAt),
  });
}

function contentOf({ end }: ProcessFacts, content: ProcessContent | undefined) {
  if (content === undefined) return {};
  const { input, eventTypes, typeCounts, output } = content;
  const counts = [...typeCounts].map(([type, { count }]) => [type, BigInt(count)] as const);
  return {
    input: processInputToProto(input),
    eventTypes: eventTypes.map(eventTypeToProto),
    eventCounts: Object.fromEntries(counts),
    ...(end && output && { end: endToProto(end, output) }),
  };
}

/** A process on the wire; without `content` as lists show it. */
export function processToProto(
  facts: ProcessFacts,
  situation: ProcessSituation,
  content?: ProcessContent,
): Process {
  return create(ProcessSchema, {
    processId: facts.processId,
    revision: BigInt(situation.revision),
    registrationHash: facts.registrationHash,
    state: processStates.toProto(facts.status),
    provenance: provenanceToProto(facts.provenance),
    disposition: dispositions.toProto(facts.disposition),
    identity: identityToProto(facts.identity),
    envRef: facts.environmentRef ?? "",
    wakeRuntimeId: facts.wakeRuntimeId ?? "",
    ...(facts.attemptsMax === undefined ? {} : { attemptsMax: facts.attemptsMax }),
    labels: { ...facts.labels },
    createdAt: timestampToProto(facts.createdAt),
    updatedAt: timestampToProto(facts.updatedAt),
    lastSequence: BigInt(facts.lastSequence),
    generation: BigInt(facts.generation),
    claimable: situation.isClaimable,
    ...leasesOf(facts),
    ...externalRefOf(facts),
    ...waitOf(facts),
    ...wishesOf(facts),
    ...contentOf(facts, content),
  });
}

/** The record that a view row keeps. */
export function factsFromRow(row: StreamRow): ProcessFacts {
  return JSON.parse(row.factsText) as ProcessFacts;
}

/** A process as its view row shows it. */
export function processFromRow(row: StreamRow): Process {
  const isClaimable = row.runnableSince !== undefined;
  return processToProto(factsFromRow(row), { revision: row.revision, isClaimable });
}
