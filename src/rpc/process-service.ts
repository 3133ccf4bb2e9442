/** The process registry, composed of its themes. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { ProcessRegistryService } from "../../gen/keelson/process/v1/service_pb.ts";
import { makeGrantChanges } from "./grant-changes.ts";
import { makeGrantReads } from "./grant-reads.ts";
import { makeProcessAppends } from "./process-appends.ts";
import { makeProcessChanges } from "./process-changes.ts";
import { makeProcessEventReads } from "./process-event-reads.ts";
import { makeProcessFeed } from "./process-feed.ts";
import { makeProcessLeases } from "./process-leases.ts";
import type { ProcessServiceOptions } from "./process-options.ts";
import { makeProcessPrune } from "./process-prune.ts";
import { makeProcessRecovery } from "./process-recovery.ts";
import { makeProcessReads } from "./process-reads.ts";
import { makeProcessWatch } from "./process-watch.ts";

/** Makes the process registry. */
export function makeProcessService(
  options: ProcessServiceOptions,
): ServiceImpl<typeof ProcessRegistryService> {
  return {
    ...makeProcessChanges(options),
    ...makeProcessReads(options),
    ...makeProcessAppends(options),
    ...makeProcessEventReads(options),
    ...makeProcessWatch(options),
    ...makeProcessFeed(options),
    ...makeProcessRecovery(options),
    ...makeProcessPrune(options),
    ...makeProcessLeases(options),
    ...makeGrantChanges(options),
    ...makeGrantReads(options),
  };
}
