/** What the admin service is built from. */
import type { StreamName, TimeMs } from "../core/shared/ids.ts";
import type { Membership } from "../engine/membership.ts";
import type {
  CheckpointStore,
  Clock,
  JournalStore,
  ReplicaStore,
  StorageFacts,
  ViewStore,
} from "../engine/ports.ts";
import type { Repair } from "../engine/repair.ts";
import type { RpcObserver } from "./observer.ts";
import type { RpcLimits } from "./runtime-options.ts";

/** What the server is, for those who ask. */
export interface ServerFacts {
  readonly version: string;
  readonly replicaId: string;
  readonly nodeVersion: string;
  readonly startedAt: TimeMs;
  /** Whether the server started the database itself. */
  readonly isDatabaseEmbedded: boolean;
  /** Empty for the memory. */
  readonly databaseName: string;
}

/** The streams of one kind, as administration sees them. */
export interface AdminStreams {
  readonly foldVersion: number;
  /** Whether the folded state is in memory now. */
  readonly isCached: (stream: StreamName) => boolean;
  /** Whether this replica refuses to write the stream. */
  readonly isQuarantined: (stream: StreamName) => boolean;
}

/** What the admin service works with. */
export interface AdminServiceOptions {
  readonly server: ServerFacts;
  readonly facts: StorageFacts;
  readonly limits: RpcLimits;
  /** Streams by kind, such as `runtime`. */
  readonly kinds: ReadonlyMap<string, AdminStreams>;
  readonly journal: Pick<JournalStore, "readAfter" | "readAt" | "headOf">;
  readonly views: Pick<ViewStore, "get">;
  readonly checkpoints: Pick<CheckpointStore, "nearest">;
  readonly replicas: Pick<ReplicaStore, "list">;
  readonly membership: Pick<Membership, "live">;
  readonly flushViews: () => Promise<void>;
  readonly rebuild: Repair["rebuild"];
  /** Database time. */
  readonly nowMs: () => TimeMs;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly observer: RpcObserver;
}
