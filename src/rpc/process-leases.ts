/** ClaimLease, ClaimNext, RenewLease and ReleaseLease: how workers come by processes. */
import { create } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { ProcessCommand } from "../core/process/commands.ts";
import type { ClaimedProcess, ClaimTerms } from "../dispatch/process-leases.ts";
import {
  ClaimLeaseRequestSchema,
  ClaimLeaseResponseSchema,
  ClaimNextResponseSchema,
  type ProcessRegistryService,
  ReleaseLeaseRequestSchema,
  ReleaseLeaseResponseSchema,
  RenewLeaseResponseSchema,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { type Caller, callerOf } from "./caller.ts";
import { checkId, type FieldCheck, finish, makeFieldCheck, violate } from "./codec/field-check.ts";
import { LEASE_TTL_MS, leaseProofFromProto, leaseToProto } from "./codec/process-lease.ts";
import { cancelRequestToProto } from "./codec/process.ts";
import { ownerFromProto } from "./codec/process-provenance.ts";
import { requestHash } from "./codec/request-hash.ts";
import { durationFromProto, durationToProto } from "./codec/time.ts";
import { checkProcess, checkTerms, commandEnvelope, type CommandTerms } from "./process-calls.ts";
import type { ProcessServiceOptions } from "./process-options.ts";
import { readProcess } from "./stored-processes.ts";
import { waitMs } from "./wait-time.ts";

type LeaseService = Pick<
  ServiceImpl<typeof ProcessRegistryService>,
  "claimLease" | "claimNext" | "renewLease" | "releaseLease"
>;

const KINDS_MAX = 64;

function checkTtl(check: FieldCheck, ttl: Duration | undefined): number {
  const { min, max, usual } = LEASE_TTL_MS;
  if (ttl === undefined) return usual;
  const ttlMs = durationFromProto(ttl);
  if (ttlMs !== undefined && ttlMs >= min && ttlMs <= max) return ttlMs;
  violate(check, "ttl", `must be from ${min} to ${max} ms`);
  return usual;
}

function checkKinds(check: FieldCheck, kinds: readonly string[]): readonly string[] {
  if (kinds.length === 0) violate(check, "kinds", "is required: at least one kind");
  if (kinds.length > KINDS_MAX) {
    violate(check, "kinds", `has ${kinds.length} kinds, at most ${KINDS_MAX} are allowed`);
  }
  return [...new Set(kinds.map((kind, index) => checkId(check, kind, `kinds[${index}]`)))];
}

/** A claim on its way. */
function envelopeOf(caller: Caller, terms: CommandTerms): ClaimTerms["envelopeOf"] {
  return (command: ProcessCommand) => commandEnvelope(caller, command, terms);
}

/** Makes the part of the service that hands processes to workers. */
export function makeProcessLeases(options: ProcessServiceOptions): LeaseService {
  const { streams, leases, limits, drainSignal } = options;

  async function shown(claimed: ClaimedProcess) {
    const { stream, lease, remainingMs, state, revision } = claimed;
    return {
      lease: leaseToProto(state.processId, lease, remainingMs),
      process: await readProcess(streams, stream, { state, revision }),
      revision: BigInt(revision),
    };
  }

  return {
    claimLease: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { stream } = checkProcess(check, caller.namespace, request.processId);
      const owner = ownerFromProto(check, request.owner, "owner");
      const ttlMs = checkTtl(check, request.ttl);
      const hashOf = (): string => requestHash(ClaimLeaseRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      const isRemembered = terms.requestId !== undefined;
      const claim = { owner, ttlMs, envelopeOf: envelopeOf(caller, terms), isRemembered };
      const claimed = await leases.claim(stream, claim);
      const { extended } = claimed;
      return create(ClaimLeaseResponseSchema, { ...(await shown(claimed)), extended });
    },

    claimNext: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { namespace } = caller;
      const kinds = checkKinds(check, request.kinds);
      const owner = ownerFromProto(check, request.owner, "owner");
      const ttlMs = checkTtl(check, request.ttl);
      const { timeout } = request;
      const longest = limits.longPollMaxMs;
      const timeoutMs = timeout ? waitMs(check, timeout, 0, longest, context) : 0;
      finish(check);
      // Each try is another process: the call itself cannot be remembered.
      const terms = { requestId: undefined, hashOf: () => "", isRepeatable: false };
      const claim = { owner, ttlMs, envelopeOf: envelopeOf(caller, terms), isRemembered: false };
      const signal = AbortSignal.any([context.signal, drainSignal]);
      const claimed = await leases.claimNext({ namespace, kinds, timeoutMs, signal }, claim);
      return create(ClaimNextResponseSchema, claimed && (await shown(claimed)));
    },

    renewLease: async (request, context) => {
      const check = makeFieldCheck();
      const { namespace } = callerOf(context);
      const { stream } = checkProcess(check, namespace, request.processId);
      if (request.lease === undefined) violate(check, "lease", "is required");
      const proof = request.lease && leaseProofFromProto(check, request.lease);
      finish(check);
      if (proof === undefined) throw new TypeError("A checked request has a proof");
      const { remainingMs, state, revision } = await leases.renew(stream, proof);
      const { cancelRequest } = state;
      return create(RenewLeaseResponseSchema, {
        remaining: durationToProto(remainingMs),
        ...(cancelRequest && { cancelRequest: cancelRequestToProto(cancelRequest) }),
        revision: BigInt(revision),
      });
    },

    releaseLease: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { processId, stream } = checkProcess(check, caller.namespace, request.processId);
      if (request.lease === undefined) violate(check, "lease", "is required");
      const lease = request.lease && leaseProofFromProto(check, request.lease);
      const hashOf = (): string => requestHash(ReleaseLeaseRequestSchema, request);
      const terms = checkTerms(check, request.requestId, hashOf);
      finish(check);
      if (lease === undefined) throw new TypeError("A checked request has a proof");
      const command = { type: "release_lease", processId, lease } as const;
      const { reply, revision } = await streams.submit(
        stream,
        commandEnvelope(caller, command, terms),
      );
      const released = reply.type === "released" && reply.released;
      return create(ReleaseLeaseResponseSchema, { released, revision: BigInt(revision) });
    },
  };
}
