/** What the runtime service is built from: everything it needs and nothing else. */
import type { RuntimeConfig } from "../core/runtime/state.ts";
import type { TimeMs } from "../core/shared/ids.ts";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import type { RuntimeStreams } from "../dispatch/runtime-streams.ts";
import type { Blobs } from "../engine/blobs.ts";
import type { Membership } from "../engine/membership.ts";
import type { Clock, Entropy, RecordStore, ViewStore } from "../engine/ports.ts";
import type { CompletionWaits } from "./completion-waits.ts";
import type { RpcObserver } from "./observer.ts";

/** The limits that callers are held to; all are told by GetServerInfo. */
export interface RpcLimits {
  /** Bytes of one input as canonical JSON. */
  readonly inputPayloadBytesMax: number;
  /** Binary content of an input that is larger is moved into a blob. */
  readonly inlineContentBytesMax: number;
  readonly blobBytesMax: number;
  /** How long a blob is kept that nothing refers to. */
  readonly blobGraceMs: number;
  readonly batchInputsMax: number;
  /** Bytes of a batch as canonical JSON. */
  readonly batchBytesMax: number;
  readonly queueLimitMax: number;
  readonly attemptLimitMax: number;
  /** Longest wait of a call that waits. */
  readonly longPollMaxMs: number;
  /** Events that a watcher may be behind before it is cut. */
  readonly watchBufferEventsMax: number;
  /** Bytes of events that a watcher of one stream may be behind before it is cut. */
  readonly watchBufferBytesMax: number;
  /** Bytes of a run's result as canonical JSON. */
  readonly runResultBytesMax: number;
  /** Memory for requests in flight. */
  readonly inFlightBytesMax: number;
  /** Configuration of a runtime that says nothing else. */
  readonly runtimeDefaults: RuntimeConfig;
}

/** What the runtime service works with. */
export interface RuntimeServiceOptions {
  readonly streams: RuntimeStreams;
  readonly blobs: Pick<Blobs, "referring">;
  readonly views: Pick<ViewStore, "drains" | "list">;
  /** Keeps the steps of calls over many runtimes. */
  readonly records: Pick<RecordStore, "insert" | "list">;
  /** Writes this replica's view rows; rejects when the database does not take them. */
  readonly flushViews: () => Promise<void>;
  /** The other replicas, whose rows may lag behind. */
  readonly membership: Pick<Membership, "live">;
  readonly replicaId: string;
  /** Database time. */
  readonly nowMs: () => TimeMs;
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  readonly entropy: Pick<Entropy, "freshId">;
  readonly limits: RpcLimits;
  readonly waits: CompletionWaits;
  /** Keeps the registers of callers that are their own executors, and knows all executors. */
  readonly dispatcher: Pick<Dispatcher, "claim" | "executorFacts">;
  /** Aborts when the server begins to go down: what waits is answered. */
  readonly drainSignal: AbortSignal;
  /** Counts the bytes of inputs that came by a stream and are not answered yet. */
  readonly budget: {
    readonly take: (bytes: number) => void;
    readonly release: (bytes: number) => void;
  };
  readonly observer: RpcObserver;
}
