/** The service of background tasks, composed of its themes. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { BackgroundTaskService } from "../../gen/keelson/task/v1/service_pb.ts";
import { makeTaskCancels } from "./task-cancels.ts";
import { makeTaskChanges } from "./task-changes.ts";
import type { TaskServiceOptions } from "./task-options.ts";
import { makeTaskReads } from "./task-reads.ts";
import { makeTaskStarts } from "./task-starts.ts";

/** Makes the service of background tasks. */
export function makeTaskService(
  options: TaskServiceOptions,
): ServiceImpl<typeof BackgroundTaskService> {
  return {
    ...makeTaskStarts(options),
    ...makeTaskChanges(options),
    ...makeTaskCancels(options),
    ...makeTaskReads(options),
  };
}
