/** What the parts of an engine share; composed in `engine.ts`. */
import type { StreamName } from "../core/shared/ids.ts";
import type { Committer } from "./committer.ts";
import type { DatabaseTime } from "./database-time.ts";
import type { DurableReads } from "./durable-reads.ts";
import type { Prober } from "./freshness.ts";
import type { ListenedStreams } from "./listened-streams.ts";
import type { Loader } from "./loader.ts";
import type { EngineObserver } from "./observer.ts";
import type { Clock, Entropy, Storage, StoredCommit } from "./ports.ts";
import type { CacheBudget } from "./stream-cache.ts";
import type { ViewBacklog } from "./view-backlog.ts";

/** Configuration of an engine. */
export interface EngineOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly observer: EngineObserver;
  readonly replicaId: string;
  /** Where this replica listens, for people. */
  readonly address: string;
  readonly version: string;
  readonly cacheBytesMax: number;
  /** How long a call waits for its commit before it is answered without it. */
  readonly answerTimeoutMs: number;
}

/** The machinery shared by all aggregates of a process. */
export interface EngineParts {
  readonly options: EngineOptions;
  readonly time: DatabaseTime;
  readonly budget: CacheBudget;
  readonly loader: Loader;
  readonly committer: Committer;
  readonly prober: Prober;
  readonly reads: DurableReads;
  readonly listened: ListenedStreams;
  readonly views: ViewBacklog;
  readonly readAt: (stream: StreamName, revision: number) => Promise<StoredCommit>;
  /** True once `stop` was called: nothing new is taken. */
  readonly isStopping: () => boolean;
}
