// One replica as a process of its own: `keelson serve` on an embedded database that it shares with
// every replica of the same data directory, or on one that is there. Its port stays the same over
// restarts.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Child, type Ending, startChild } from "./child-process.ts";
import { eventually } from "./waiting.ts";

/** Where a replica lives. */
export interface ReplicaOptions {
  readonly name: string;
  readonly dataDirectory: string;
  readonly logDirectory: string;
  /** A database that is there; an embedded one of the data directory when absent. */
  readonly databaseUri?: string | undefined;
  /** Settings over the defaults, by variable. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A replica that can be started and ended again and again. */
export interface Replica {
  readonly name: string;
  /** Base address for clients; known once it was started. */
  readonly url: () => string;
  /** Starts it and waits until it is ready. */
  readonly start: () => Promise<void>;
  readonly isReady: () => Promise<boolean>;
  readonly kill: () => Promise<void>;
  readonly pause: () => void;
  readonly resume: () => void;
  /** Asks it to drain, and waits for its end. */
  readonly terminate: () => Promise<Ending>;
  readonly log: () => string;
}

const START_DEADLINE_MS = 60_000;
const PROBE_TIMEOUT_MS = 1_000;
const ADDRESS = /"address":"(127\.0\.0\.1:\d+)"[^\n]*"msg":"server serves"/;

/** Makes a replica; it is not started yet. */
export function makeReplica(options: ReplicaOptions): Replica {
  const { name, dataDirectory, logDirectory, databaseUri } = options;
  const logPath = join(logDirectory, `${name}.log`);
  let child: Child | undefined;
  let address = "";

  const log = (): string => readFileSync(logPath, "utf8");
  const url = (): string => `http://${address}`;
  const running = (): Child => {
    if (child === undefined) throw new Error(`${name} was never started`);
    return child;
  };

  async function isReady(): Promise<boolean> {
    if (address === "") address = ADDRESS.exec(log())?.[1] ?? "";
    if (address === "") return false;
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    return await fetch(`${url()}/readyz`, { signal }).then(
      (response) => response.ok,
      () => false,
    );
  }

  async function start(): Promise<void> {
    const port = address === "" ? "0" : (address.split(":")[1] ?? "0");
    const isEmbedded = databaseUri === undefined;
    const database = isEmbedded ? ["--embedded", "--data-dir", dataDirectory] : [];
    const started = startChild({
      script: "bin/keelson.js",
      words: ["serve", "--port", port, ...database],
      environment: {
        KEELSON_LOG_FORMAT: "json",
        ...(isEmbedded ? {} : { KEELSON_MONGODB_URI: databaseUri }),
        ...options.environment,
      },
      logPath,
    });
    child = started;
    await eventually(`${name} is ready`, START_DEADLINE_MS, async () => {
      if (started.hasExited()) throw new Error(`${name} ended while starting, see ${logPath}`);
      return await isReady();
    });
  }

  return {
    name,
    url,
    start,
    isReady,
    kill: async () => await child?.kill(),
    pause: () => running().signal("SIGSTOP"),
    resume: () => running().signal("SIGCONT"),
    terminate: () => {
      running().signal("SIGTERM");
      return running().exited;
    },
    log,
  };
}
