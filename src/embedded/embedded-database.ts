// What a replica says to have an embedded database, and what it gets.
import type { Logger } from "pino";

/** What happens to the host while a replica uses it. */
export type EmbeddedEvent =
  | { readonly kind: "lost"; readonly pid: number }
  | { readonly kind: "restarted"; readonly pid: number; readonly downtimeMs: number }
  | { readonly kind: "restart_failed"; readonly error: Error; readonly retryInMs: number };

/** How to start or join the embedded database. */
export interface EmbeddedOptions {
  /** Created with mode 0700 when it does not exist. */
  readonly dataDirectory: string;
  /** Private short directory for the socket when the data directory's path is too long. */
  readonly runtimeDirectory: string;
  /** Cache folder of this program, for a private glibc; usually `~/.cache/keelson`. */
  readonly cacheDirectory: string;
  /** The whole environment of spawned processes: PATH, HOME, TMPDIR, proxy variables. */
  readonly environment: Readonly<Record<string, string>>;
  readonly logger: Logger;
  /** The Node that runs the host; this process's own by default. */
  readonly nodePath?: string;
  /** The host ends itself after this long without a client; 10 s by default. */
  readonly idleTimeoutMs?: number;
  /** How long a start may take before it counts as failed; 60 s by default. */
  readonly startTimeoutMs?: number;
  /** Gets lines meant for people when a start takes long. */
  readonly onProgress?: (line: string) => void;
  readonly onEvent?: (event: EmbeddedEvent) => void;
}

/** The embedded database as a replica holds it. */
export interface EmbeddedDatabase {
  /** For the MongoDB driver; stays the same over restarts of the host. */
  readonly uri: string;
  readonly socketPath: string;
  readonly dataDirectory: string;
  /** Process id of the host that serves now, or served last. */
  readonly pid: () => number;
  /** Lets go: the host ends by itself once its last client has left. */
  readonly leave: () => Promise<void>;
  /**
   * Ends the host for everybody and waits until the data directory is closed. A replica that still
   * uses it would start it again. Throws `stop_timed_out`.
   */
  readonly stop: () => Promise<void>;
}
