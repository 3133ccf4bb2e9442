/** The refusals of operations, each with the facts that a program needs to go on. */
import { type Refusal, refusalOf } from "../shared/refusal.ts";
import type { OperationId } from "../shared/ids.ts";
import type { Operation } from "./operation-state.ts";

/** How long a caller that met the limit should wait before another try. */
const LIMIT_RETRY_MS = 1_000;

/** The runtime never registered the operation. */
export function operationNotFound(runtimeId: string, operationId: OperationId): Refusal {
  return refusalOf("OPERATION_NOT_FOUND", "The runtime never registered this operation", {
    runtimeId,
    operationId,
  });
}

/** The id is taken, for ever. */
export function operationAlreadyRegistered(operation: Operation): Refusal {
  return refusalOf(
    "OPERATION_ALREADY_REGISTERED",
    `The operation is registered already and is ${operation.status}; use another id`,
    {
      operationId: operation.operationId,
      status: operation.status,
      epochId: operation.epochId,
    },
  );
}

/** As many operations are active as the runtime may have. */
export function operationLimitReached(operationLimit: number, active: number): Refusal {
  const refusal = refusalOf(
    "OPERATION_LIMIT_REACHED",
    `The runtime has ${active} active operations and takes at most ${operationLimit}`,
    { operationLimit, active },
  );
  return { ...refusal, retryAfterMs: LIMIT_RETRY_MS };
}

/** The operation is not where the action could begin. */
export function operationInvalidTransition(operation: Operation, action: string): Refusal {
  return refusalOf(
    "OPERATION_INVALID_TRANSITION",
    `${action} is not possible while the operation is ${operation.status}`,
    { operationId: operation.operationId, status: operation.status, action },
  );
}

/** Only members of a mob have peers. */
export function peerNotExpected(operation: Operation): Refusal {
  return refusalOf("OPERATION_PEER_NOT_EXPECTED", "Operations of this kind have no peer channel", {
    operationId: operation.operationId,
    kind: operation.kind,
  });
}

/** The peer was reported before. */
export function peerAlreadyReady(operation: Operation): Refusal {
  return refusalOf("OPERATION_PEER_ALREADY_READY", "The operation's peer is ready already", {
    operationId: operation.operationId,
    peerName: operation.peerHandle?.peerName ?? "",
  });
}
