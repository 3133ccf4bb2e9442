/** Operations as they are answered: what the history says, and who waits for them here. */
import type { OperationResult } from "../core/runtime/operation-events.ts";
import type { Operation as CoreOperation } from "../core/runtime/operation-state.ts";
import type { OperationId, StreamName } from "../core/shared/ids.ts";
import type { Operation } from "../../gen/keelson/operation/v1/messages_pb.ts";
import { operationToProto } from "./codec/operation.ts";
import type { OperationWaits } from "./operation-waits.ts";
import type { RuntimeFold } from "./stored-inputs.ts";

/** Shows an operation of a stream; without a result its content is omitted. */
export function showOperation(
  waits: Pick<OperationWaits, "watcherCount">,
  stream: StreamName,
  { state }: Pick<RuntimeFold, "state">,
  operation: CoreOperation,
  result?: OperationResult,
): Operation {
  const { operationId, end } = operation;
  // Whoever waited for one that ended has been answered.
  const watcherCount = end === undefined ? waits.watcherCount(stream, operationId) : 0;
  return operationToProto(state, operation, watcherCount, result);
}

/** Shows operations of a stream with what they came to, as far as that is given. */
export function showOperations(
  waits: Pick<OperationWaits, "watcherCount">,
  stream: StreamName,
  fold: Pick<RuntimeFold, "state">,
  operations: readonly CoreOperation[],
  results: ReadonlyMap<OperationId, OperationResult>,
): Operation[] {
  return operations.map((operation) => {
    return showOperation(waits, stream, fold, operation, results.get(operation.operationId));
  });
}
