/** Holds on processes on the wire: what their holders are told, and what they present. */
import { create } from "@bufbuild/protobuf";
import type { LeaseProof } from "../../core/process/commands.ts";
import type { Lease } from "../../core/process/state.ts";
import { leaseTokenOf, type ProcessId } from "../../core/shared/ids.ts";
import {
  type ProcessLease,
  type ProcessLeaseProof,
  ProcessLeaseSchema,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { checkCount, checkId, type FieldCheck, violate } from "./field-check.ts";
import { durationToProto, timestampToProto } from "./time.ts";

/** How long leases may last unless renewed, and how long they do when nobody says. */
export const LEASE_TTL_MS = { min: 1_000, max: 3_600_000, usual: 30_000 } as const;

/** Proof of a hold. */
export function leaseProofFromProto(
  check: FieldCheck,
  proof: ProcessLeaseProof,
  field = "lease",
): LeaseProof {
  const token = checkId(check, proof.leaseToken, `${field}.lease_token`);
  const generation = checkCount(check, proof.generation, `${field}.generation`);
  if (generation === 0) violate(check, `${field}.generation`, "is required: at least 1");
  return { leaseToken: leaseTokenOf(token), generation };
}

/** A hold as only its holder is told. */
export function leaseToProto(
  processId: ProcessId,
  lease: Lease,
  remainingMs: number,
): ProcessLease {
  return create(ProcessLeaseSchema, {
    processId,
    owner: { ...lease.owner },
    leaseToken: lease.leaseToken,
    generation: BigInt(lease.generation),
    claimedAt: timestampToProto(lease.claimedAt),
    ttl: durationToProto(lease.ttlMs),
    remaining: durationToProto(remainingMs),
  });
}
