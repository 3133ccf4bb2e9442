/** The runtime service, composed of its themes. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { RuntimeControlPlaneService } from "../../gen/keelson/runtime/v1/service_pb.ts";
import { makeRuntimeActions } from "./runtime-actions.ts";
import { makeRuntimeCancel } from "./runtime-cancel.ts";
import { makeRuntimeChanges } from "./runtime-changes.ts";
import { makeRuntimeDrains } from "./runtime-drains.ts";
import { makeRuntimeExplain } from "./runtime-explain.ts";
import { makeRuntimeIngest } from "./runtime-ingest.ts";
import { makeRuntimeIngestAndRun } from "./runtime-ingest-and-run.ts";
import { makeRuntimeInputReads } from "./runtime-input-reads.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";
import { makeRuntimeReads } from "./runtime-reads.ts";
import { makeRuntimeWatch } from "./runtime-watch.ts";

/** Makes the runtime service. */
export function makeRuntimeService(
  options: RuntimeServiceOptions,
): ServiceImpl<typeof RuntimeControlPlaneService> {
  return {
    ...makeRuntimeIngest(options),
    ...makeRuntimeIngestAndRun(options),
    ...makeRuntimeChanges(options),
    ...makeRuntimeActions(options),
    ...makeRuntimeCancel(options),
    ...makeRuntimeDrains(options),
    ...makeRuntimeReads(options),
    ...makeRuntimeExplain(options),
    ...makeRuntimeInputReads(options),
    ...makeRuntimeWatch(options),
  };
}
