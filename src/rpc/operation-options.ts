/** What the operation service is built from. */
import type { OperationWaits } from "./operation-waits.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";

/** What the operation service works with. */
export interface OperationServiceOptions
  extends Pick<RuntimeServiceOptions, "streams" | "entropy" | "limits" | "clock" | "drainSignal"> {
  readonly waits: OperationWaits;
}
