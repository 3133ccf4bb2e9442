/** What the service of background tasks is built from. */
import type { TimeMs } from "../core/shared/ids.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import type { Entropy, RecordStore } from "../engine/ports.ts";
import type { TaskCalls } from "../flows/task-calls.ts";
import type { EventSchemas } from "./event-schemas.ts";
import type { ProcessWaits } from "./process-waits.ts";
import type { RpcLimits } from "./runtime-options.ts";

/** What the service of background tasks works with. */
export interface TaskServiceOptions {
  /** The streams of processes. */
  readonly streams: ProcessStreams;
  readonly tasks: TaskCalls;
  readonly records: Pick<RecordStore, "insert" | "list">;
  readonly waits: ProcessWaits;
  readonly schemas: EventSchemas;
  readonly entropy: Pick<Entropy, "freshId">;
  readonly limits: Pick<RpcLimits, "inputPayloadBytesMax" | "longPollMaxMs">;
  /** Database time. */
  readonly nowMs: () => TimeMs;
}
