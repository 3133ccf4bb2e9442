/** What the part of the process registry that is about handles is built from. */
import type { TimeMs } from "../core/shared/ids.ts";
import type { ProcessStreams } from "../dispatch/process-streams.ts";
import type { Membership } from "../engine/membership.ts";
import type { ViewStore } from "../engine/ports.ts";
import type { GrantsStreams } from "../flows/flow-streams.ts";
import type { HandleCalls } from "../flows/handle-calls.ts";
import type { TaskCalls } from "../flows/task-calls.ts";

/** What calls about handles work with. */
export interface GrantServiceOptions {
  readonly grants: GrantsStreams;
  /** The streams of processes. */
  readonly streams: ProcessStreams;
  readonly handles: HandleCalls;
  readonly tasks: TaskCalls;
  readonly views: Pick<ViewStore, "get">;
  /** Writes this replica's view rows; rejects when the database does not take them. */
  readonly flushViews: () => Promise<void>;
  /** The other replicas, whose rows may lag behind. */
  readonly membership: Pick<Membership, "live">;
  readonly replicaId: string;
  /** Database time. */
  readonly nowMs: () => TimeMs;
}
