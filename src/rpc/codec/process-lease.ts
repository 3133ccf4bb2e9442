/** What a holder presents, from the wire. */
import type { LeaseProof } from "../../core/process/commands.ts";
import { leaseTokenOf } from "../../core/shared/ids.ts";
import type { ProcessLeaseProof } from "../../../gen/keelson/process/v1/messages_pb.ts";
import { checkCount, checkId, type FieldCheck, violate } from "./field-check.ts";

/** How long leases may last unless renewed. */
export const LEASE_TTL_MS = { min: 1_000, max: 3_600_000 } as const;

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
