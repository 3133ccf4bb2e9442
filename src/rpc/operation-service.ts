/** The operation service, composed of its themes. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { OperationService } from "../../gen/keelson/operation/v1/service_pb.ts";
import { makeOperationChanges } from "./operation-changes.ts";
import type { OperationServiceOptions } from "./operation-options.ts";
import { makeOperationReads } from "./operation-reads.ts";
import { makeOperationWaitCalls } from "./operation-wait-calls.ts";

/** Makes the operation service. */
export function makeOperationService(
  options: OperationServiceOptions,
): ServiceImpl<typeof OperationService> {
  return {
    ...makeOperationChanges(options),
    ...makeOperationReads(options),
    ...makeOperationWaitCalls(options),
  };
}
